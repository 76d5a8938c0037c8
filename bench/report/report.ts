import type { Counts } from '../count/operations.js';
import type { Measured } from '../measure.js';
import type { Side, Store } from '../sides.js';
import type { Machine } from './machine.js';

/** The memory of each part in MB, by its name, on each side. */
export type MemoryOfSides = Readonly<Record<Side['name'], Readonly<Record<string, number>>>>;

/** The results with the queue on one store. */
export interface StoreReport {
  readonly store: Store;
  /** Settings of the PostgreSQL that both sides share. */
  readonly postgres: Readonly<Record<string, string>>;
  /** Before the first request. */
  readonly idleMb: MemoryOfSides;
  readonly operations: readonly Measured[];
  /** The cost of each operation at the stores. */
  readonly counts: Readonly<Record<Side['name'], readonly Counts[]>>;
}

/** A whole run, as its JSON has it. */
export interface Report {
  /** The command that repeats it. */
  readonly command: string;
  /** The time of its end, ISO 8601. */
  readonly date: string;
  /** The measured commit. With `-dirty`, there were changes that no commit has. */
  readonly commit: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** The length of a round, in milliseconds. */
  readonly ms: number;
  readonly seconds: number;
  readonly stores: readonly StoreReport[];
  /** The stores that were not measured, and why. */
  readonly missing: readonly string[];
}

export const STORE_NAMES: Readonly<Record<Store, string>> = { postgres: 'PostgreSQL', redis: 'Redis' };

/** Operations without a ratio: a side had errors, or did nothing. */
export function withoutRatio(report: Pick<Report, 'stores'>): string[] {
  return report.stores.flatMap(({ store, operations }) =>
    operations.filter(({ ratio }) => ratio === null).map(({ name }) => `${name} (queue on ${STORE_NAMES[store]})`),
  );
}
