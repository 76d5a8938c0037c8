import type pg from 'pg';
import type { components } from '#contract/openapi.gen.js';
import { exact, exactCost } from './exact-cost.js';
import type { Bill, Billed } from './model-stub.js';
import type { TestPrice } from './priced-assistants.js';

type UsageLine = components['schemas']['UsageLine'];

/** An entry of the ledger, as far as it costs something. */
interface Entry {
  readonly job_id: string;
  readonly attempt: number;
  readonly step: number;
  readonly model: string;
  readonly outcome: string;
  readonly message_id: string | null;
  readonly estimated: boolean;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cache_read_tokens: number | null;
  readonly cache_write_5m_tokens: number | null;
  readonly cache_write_1h_tokens: number | null;
  readonly thinking_tokens: number | null;
  readonly server_tools: Readonly<Record<string, number>> | null;
  readonly cost: string | null;
}

export interface BillCheck {
  readonly database: Pick<pg.Pool, 'query'>;
  readonly bill: Bill;
  readonly prices: Readonly<Record<string, TestPrice>>;
  /** All lines of `GET /admin/usage` for the days of the run, not divided by anything but the day. */
  readonly usage: readonly UsageLine[];
}

/** An estimate counts two and a half bytes a token; the stand-in writes four. What was not shown is estimated by its time. */
const MOST_OVERESTIMATED = 2;
const MOST_UNSEEN = 100;

/** The result of a check. */
export interface Checked {
  /** Every difference, in words. */
  readonly faults: string[];
  /** How many entries were compared to the token, and how many had an estimate. */
  readonly exact: number;
  readonly estimated: number;
}

/**
 * Compares the ledger with what the stand-in billed, and costs, usage and spending with the ledger. Call it when no call runs. No request
 * of the run may have been sent a second time within a call, since a call's entry has one id of an answer.
 */
export async function checkBill({ database, bill, prices, usage }: BillCheck): Promise<Checked> {
  const { rows: entries } = await database.query<Entry>('SELECT * FROM model_calls');
  const billed = new Map(bill.calls.map((call) => [call.id, call]));
  const faults: string[] = [];
  for (const entry of entries) {
    const name = `call ${entry.attempt}.${entry.step} of job ${entry.job_id} (${entry.outcome}, ${entry.message_id})`;
    faults.push(...differences(entry, billed.get(entry.message_id ?? '')).map((what) => `${name}: ${what}`));
    const cost = exactCost(figuresOf(entry), prices[entry.model] ?? { input: NaN, output: NaN });
    if (entry.cost === null || exact(entry.cost) !== cost)
      faults.push(`${name} costs ${entry.cost}, and should ${cost}`);
  }
  faults.push(...(await sums(database, entries, usage)));
  const estimated = entries.filter((entry) => entry.estimated).length;
  return { faults, exact: entries.length - estimated, estimated };
}

/** An entry's differences from its bill, in words. */
function differences(entry: Entry, bill: Billed | undefined): string[] {
  if (entry.message_id === null) {
    // Without an answer nothing was billed, or nobody knows.
    const none = entry.input_tokens === null && entry.output_tokens === null;
    return entry.estimated || none ? [] : ['has tokens without an answer, and is not marked'];
  }
  if (bill === undefined) return ['is not billed'];
  const input =
    bill.input_tokens +
    bill.cache_read_input_tokens +
    bill.cache_write_5m_input_tokens +
    bill.cache_write_1h_input_tokens;
  // The input is known with the answer's id, so an estimate concerns the output alone.
  const figures: [string, number | null, number][] = [
    ['input', entry.input_tokens, input],
    ['read', entry.cache_read_tokens, bill.cache_read_input_tokens],
    ['written for 5 minutes', entry.cache_write_5m_tokens, bill.cache_write_5m_input_tokens],
    ['written for an hour', entry.cache_write_1h_tokens, bill.cache_write_1h_input_tokens],
  ];
  const mostEstimated = MOST_OVERESTIMATED * bill.output_tokens + MOST_UNSEEN;
  if (entry.estimated && (entry.output_tokens ?? 0) > mostEstimated) {
    return [`the estimated output is ${entry.output_tokens}, billed are ${bill.output_tokens}`];
  }
  if (!entry.estimated) {
    const { web_search_requests: searches = 0, web_fetch_requests: fetches = 0 } = entry.server_tools ?? {};
    figures.push(
      ['output', entry.output_tokens, bill.output_tokens],
      ['thinking', entry.thinking_tokens, bill.thinking_tokens],
      ['searches', searches, bill.web_search_requests],
      ['fetches', fetches, bill.web_fetch_requests],
    );
  }
  return figures
    .filter(([, has, should]) => has !== should)
    .map(([what, has, should]) => `${what} is ${has}, billed are ${should}`);
}

function figuresOf(entry: Entry): Parameters<typeof exactCost>[0] {
  return {
    input: entry.input_tokens ?? 0,
    cacheRead: entry.cache_read_tokens ?? 0,
    cacheWrite5m: entry.cache_write_5m_tokens ?? 0,
    cacheWrite1h: entry.cache_write_1h_tokens ?? 0,
    output: entry.output_tokens ?? 0,
    serverTools: entry.server_tools ?? {},
  };
}

/** What usage and spending have other than the ledger, in words. */
async function sums(
  database: BillCheck['database'],
  entries: readonly Entry[],
  usage: readonly UsageLine[],
): Promise<string[]> {
  const total = (of: (entry: Entry) => number | null): number =>
    entries.reduce((sum, entry) => sum + (of(entry) ?? 0), 0);
  const shown = (of: (line: UsageLine) => number | null): number =>
    usage.reduce((sum, line) => sum + (of(line) ?? 0), 0);
  const cost = entries.reduce((sum, entry) => sum + exact(entry.cost ?? 0), 0n);
  const { rows } = await database.query<{ cost: string | null }>('SELECT sum(cost)::text AS cost FROM spending');
  const pairs: [string, number, number][] = [
    ['input', total((entry) => entry.input_tokens), shown((line) => line.input_tokens)],
    ['output', total((entry) => entry.output_tokens), shown((line) => line.output_tokens)],
    ['read', total((entry) => entry.cache_read_tokens), shown((line) => line.cache_read_tokens)],
    [
      'written',
      total((entry) => entry.cache_write_5m_tokens) + total((entry) => entry.cache_write_1h_tokens),
      shown((line) => line.cache_write_tokens),
    ],
    ['thinking', total((entry) => entry.thinking_tokens), shown((line) => line.thinking_tokens)],
    ['calls', entries.length, shown(({ calls }) => Object.values(calls).reduce((sum, count) => sum + count, 0))],
  ];
  const faults = pairs
    .filter(([, has, shows]) => has !== shows)
    .map(([what, has, shows]) => `usage shows ${shows} (${what}), the ledger has ${has}`);
  if (exact(rows[0]?.cost ?? 0) !== cost) faults.push(`spending is ${rows[0]?.cost}, the ledger has ${cost}`);
  const inUsage = shown((line) => line.cost);
  // A number of JSON has some fifteen digits.
  if (Math.abs(inUsage - Number(cost) / 1e18) > 1e-9)
    faults.push(`usage shows a cost of ${inUsage}, the ledger has ${cost}`);
  return faults;
}
