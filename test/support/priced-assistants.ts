import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

/** The price of a million tokens. */
export interface TestPrice {
  readonly input: number;
  readonly output: number;
  readonly cache_read?: number;
  readonly cache_write_5m?: number;
  readonly cache_write_1h?: number;
  readonly server_tools?: Readonly<Record<string, number>>;
}

/** Prices that are large and odd, so that every token shows in a sum. */
export const PRICES: Readonly<Record<string, TestPrice>> = {
  'claude-sonnet-5-5': { input: 3, output: 15.0007, cache_read: 0.31, cache_write_5m: 3.77, cache_write_1h: 6.1 },
  'claude-opus-5-5': { input: 1_000, output: 2_000, cache_read: 100, cache_write_5m: 1_250, cache_write_1h: 2_000 },
};

/** The prices as the file has them. */
export const priced = (models: Readonly<Record<string, TestPrice>> = PRICES): object => ({
  prices: { currency: 'EUR', models },
});

/** An assistants file with prices. `settings`: by slug, what differs from the shipped assistants. @returns its path */
export async function pricedAssistants(
  settings: Readonly<Record<string, object>> = {},
  prices: Readonly<Record<string, TestPrice>> | undefined = PRICES,
): Promise<string> {
  const shipped = parse(await readFile('assistants.yaml', 'utf8')) as { assistants: { slug: string }[] };
  const assistants = shipped.assistants.map((one) => ({ ...one, ...settings[one.slug] }));
  const path = join(await mkdtemp(join(tmpdir(), 'rejoinder-assistants-')), 'assistants.yaml');
  await writeFile(path, stringify({ ...(prices && priced(prices)), assistants }));
  return path;
}
