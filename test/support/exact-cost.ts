import type { TestPrice } from './priced-assistants.js';

/** Tokens of a call, each part apart. */
export interface PricedFigures {
  /** All input, cached or not. */
  readonly input: number;
  readonly cacheRead: number;
  readonly cacheWrite5m: number;
  readonly cacheWrite1h: number;
  readonly output: number;
  readonly serverTools: Readonly<Record<string, number>>;
}

/** Digits behind the point, more than any sum of these tests has. */
const DIGITS = 18;

/** A decimal number as a whole number of its last digit. @throws Error for a number with more digits */
export function exact(amount: string | number): bigint {
  const [, sign, whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(amount)) ?? [];
  const kept = fraction.replace(/0+$/, '');
  if (whole === '' || kept.length > DIGITS) throw new Error(`${amount} is no amount of these tests.`);
  return BigInt(`${sign}${whole}${kept.padEnd(DIGITS, '0')}`);
}

/** The cost of a call, computed without the service and without rounding: see {@link exact}. */
export function exactCost(figures: PricedFigures, price: TestPrice): bigint {
  const { input, cacheRead, cacheWrite5m, cacheWrite1h, output, serverTools } = figures;
  const of = (tokens: number, amount: number): bigint => BigInt(tokens) * exact(amount);
  const million =
    of(input - cacheRead - cacheWrite5m - cacheWrite1h, price.input) +
    of(output, price.output) +
    of(cacheRead, price.cache_read ?? price.input * 0.1) +
    of(cacheWrite5m, price.cache_write_5m ?? price.input * 1.25) +
    of(cacheWrite1h, price.cache_write_1h ?? price.input * 2);
  const requests = Object.entries(serverTools).map(([kind, count]) => of(count, price.server_tools?.[kind] ?? 0));
  return million / 1_000_000n + requests.reduce((sum, cost) => sum + cost, 0n);
}
