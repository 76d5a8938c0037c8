import { parseArgs } from 'node:util';
import { OPERATIONS } from './operations.js';
import type { Store } from './sides.js';

/** The options of a run of the bench. */
export interface Options {
  readonly quick: boolean;
  /** The only store to measure; undefined: both. */
  readonly store?: Store;
  /** The operations to measure, at least one. */
  readonly operations: typeof OPERATIONS;
  /** Pairs of rounds for each operation. */
  readonly rounds: number;
  /** The length of a round, in milliseconds. */
  readonly ms: number;
  /** The directory for the report. */
  readonly out: string;
  /** Also write the figures into docs/performance.md. */
  readonly docs: boolean;
  /** The directory for CPU profiles of the product's processes. */
  readonly profiles?: string;
}

export const USAGE = `npm run bench -- [options]: what the service does beside a bare ceiling, on both queue stores

  --quick          short rounds, in less than two minutes: shows that all works, and roughly how fast
  --store NAME     only this one: postgres or redis
  --only TEXT      only the operations whose names contain it
  --rounds N       pairs of rounds for each operation (6; quick: 2)
  --ms N           milliseconds of a round (2000; quick: 400)
  --out DIR        where the report goes: report.json, picture.svg (bench/results)
  --docs           writes table and picture into docs/performance.md, too
  --profiles DIR   CPU profiles of API and worker
  --help           this

Ends with 1 when an operation has no ratio, since one of the sides saw errors.`;

const DEFAULTS = {
  full: { rounds: 6, ms: 2_000 },
  quick: { rounds: 2, ms: 400 },
} as const;

/** A fault of the command line. */
export class UsageError extends Error {}

/** @returns the options, or undefined for help. @throws UsageError */
export function readOptions(args: readonly string[]): Options | undefined {
  const values = parsed(args);
  if (values.help) return undefined;
  const { rounds, ms } = values.quick ? DEFAULTS.quick : DEFAULTS.full;
  if (values.docs && (values.store !== undefined || values.only !== undefined)) {
    throw new UsageError('--docs needs all operations on both stores: it goes with neither --store nor --only.');
  }
  return {
    quick: values.quick,
    ...(values.store !== undefined && { store: storeNamed(values.store) }),
    operations: operationsNamed(values.only ?? ''),
    rounds: count('--rounds', values.rounds, rounds, 1_000),
    ms: count('--ms', values.ms, ms, 600_000),
    out: values.out,
    docs: values.docs,
    ...(values.profiles !== undefined && { profiles: values.profiles }),
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        store: { type: 'string' },
        only: { type: 'string' },
        rounds: { type: 'string' },
        ms: { type: 'string' },
        out: { type: 'string', default: 'bench/results' },
        docs: { type: 'boolean', default: false },
        profiles: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function storeNamed(name: string): Store {
  if (name === 'postgres' || name === 'redis') return name;
  throw new UsageError(`--store: postgres or redis, not ${JSON.stringify(name)}.`);
}

function operationsNamed(part: string): typeof OPERATIONS {
  const named = OPERATIONS.filter(({ name }) => name.includes(part));
  if (named.length > 0) return named;
  const all = OPERATIONS.map(({ name }) => name).join('; ');
  throw new UsageError(`--only: no operation has ${JSON.stringify(part)} in its name. There are: ${all}.`);
}

function count(option: string, value: string | undefined, otherwise: number, most: number): number {
  if (value === undefined) return otherwise;
  if (/^\d{1,9}$/.test(value) && Number(value) >= 1 && Number(value) <= most) return Number(value);
  throw new UsageError(`${option}: a whole number from 1 to ${most}, not ${JSON.stringify(value)}.`);
}
