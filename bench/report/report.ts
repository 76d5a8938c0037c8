import type { Counts } from '../count/operations.js';
import type { Measured } from '../measure.js';
import type { Side, Store } from '../sides.js';
import type { Machine } from './machine.js';

/** Memory of each part in MB, by its name, on each side. */
export type MemoryOfSides = Readonly<Record<Side['name'], Readonly<Record<string, number>>>>;

/** What was found with the queue on one store. */
export interface StoreReport {
  readonly store: Store;
  /** Settings of the PostgreSQL that both sides share. */
  readonly postgres: Readonly<Record<string, string>>;
  /** Before the first request. */
  readonly idleMb: MemoryOfSides;
  readonly operations: readonly Measured[];
  /** What each operation asks of the stores. */
  readonly counts: Readonly<Record<Side['name'], readonly Counts[]>>;
}

/** A whole run, as it is written as JSON. */
export interface Report {
  /** How to have it again. */
  readonly command: string;
  /** When it ended, ISO 8601. */
  readonly date: string;
  /** What of the project was measured; `-dirty` behind it: with changes that are in no commit. */
  readonly commit: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** How long a round was, in milliseconds. */
  readonly ms: number;
  readonly seconds: number;
  readonly stores: readonly StoreReport[];
  /** What was not measured, and why. */
  readonly missing: readonly string[];
}

export const STORE_NAMES: Readonly<Record<Store, string>> = { postgres: 'PostgreSQL', redis: 'Redis' };

/** Operations that have no ratio: a side saw errors, or did nothing. */
export function withoutRatio(report: Pick<Report, 'stores'>): string[] {
  return report.stores.flatMap(({ store, operations }) =>
    operations.filter(({ ratio }) => ratio === null).map(({ name }) => `${name} (queue on ${STORE_NAMES[store]})`),
  );
}
