import type { Round } from './load.js';
import { percentile } from './percentile.js';
import { cpuSeconds, memoryMb } from './meter.js';
import type { Operation } from './operations.js';
import type { Side, Sides } from './sides.js';

/** The figures of one round. */
export interface RoundFigures {
  readonly seconds: number;
  /** Operations with the expected answer. */
  readonly count: number;
  readonly errors: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Seconds of processor time, by part. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** The figures of an operation on one side. */
export interface Figures {
  readonly perSecond: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
  /** The first fault. */
  readonly fault?: string;
  /** Milliseconds of processor time for each operation, by part. */
  readonly cpuMs: Readonly<Record<string, number>>;
  /** Memory of each part after the last round, in MB. */
  readonly memoryMb: Readonly<Record<string, number>>;
  readonly rounds: readonly RoundFigures[];
}

export interface Measured {
  readonly name: string;
  readonly goal: number;
  readonly rejoinder: Figures;
  readonly ceiling: Figures;
  /** Operations per second, divided by the ceiling's; null when either side had errors. */
  readonly ratio: number | null;
  /**
   * The ceiling's processor time for one operation, of all parts, divided by the product's. It is what the ratio would be on cores that do
   * nothing else. Null with `ratio`, and where the system does not report processor time.
   */
  readonly cpuRatio: number | null;
  /** `ratio` of each pair of rounds, in order. They show how steady it was. */
  readonly ratios: readonly number[];
}

/** Measures in alternating rounds, so that other load on the machine affects both sides alike. The first pair does not count. */
export async function measure(operation: Operation, sides: Sides, rounds: number, ms: number): Promise<Measured> {
  const { rejoinder, ceiling } = sides;
  const tallies = { rejoinder: new Tally(rejoinder), ceiling: new Tally(ceiling) };
  for (const side of [rejoinder, ceiling]) tallies[side.name].warm(await operation.run(side, ms / 2));
  for (let round = 0; round < rounds; round++) {
    // The second round of a pair finds what the first left behind, such as pages that PostgreSQL must write. So each side is second equally
    // often.
    const order = round % 2 === 0 ? [rejoinder, ceiling] : [ceiling, rejoinder];
    for (const side of order) await tallies[side.name].add(() => operation.run(side, ms));
  }
  const [ours, theirs] = [await tallies.rejoinder.figures(), await tallies.ceiling.figures()];
  const sound = ours.errors + theirs.errors === 0 && ours.perSecond > 0 && theirs.perSecond > 0;
  return {
    name: operation.name,
    goal: operation.goal,
    rejoinder: ours,
    ceiling: theirs,
    ratio: sound ? ours.perSecond / theirs.perSecond : null,
    cpuRatio: sound && cpuOf(ours) > 0 ? cpuOf(theirs) / cpuOf(ours) : null,
    ratios: sound ? ours.rounds.map((round, n) => rate(round) / rate(theirs.rounds[n])) : [],
  };
}

const cpuOf = ({ cpuMs }: Figures): number => Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0);

const rate = (round: RoundFigures | undefined): number => (round === undefined ? NaN : round.count / round.seconds);

class Tally {
  private warmErrors = 0;
  private fault: string | undefined;
  private readonly times: number[] = [];
  private readonly rounds: RoundFigures[] = [];

  constructor(private readonly side: Side) {}

  /** Notes a round whose figures do not count, but whose errors do. */
  warm({ errors, fault }: Round): void {
    this.warmErrors += errors;
    this.fault ??= fault;
  }

  async add(work: () => Promise<Round>): Promise<void> {
    const before = await cpuSeconds(this.side.parts);
    const { seconds, times, errors, fault } = await work();
    const after = await cpuSeconds(this.side.parts);
    this.fault ??= fault;
    for (const time of times) this.times.push(time);
    this.rounds.push({
      seconds,
      count: times.length,
      errors,
      p50: percentile(times, 0.5),
      p99: percentile(times, 0.99),
      cpuSeconds: Object.fromEntries(Object.entries(after).map(([part, used]) => [part, used - (before[part] ?? 0)])),
    });
  }

  async figures(): Promise<Figures> {
    const count = this.times.length;
    const sum = (of: (round: RoundFigures) => number): number => this.rounds.reduce((all, round) => all + of(round), 0);
    const parts = Object.keys(this.rounds[0]?.cpuSeconds ?? {});
    return {
      perSecond: count / sum(({ seconds }) => seconds),
      p50: percentile(this.times, 0.5),
      p99: percentile(this.times, 0.99),
      errors: this.warmErrors + sum(({ errors }) => errors),
      ...(this.fault !== undefined && { fault: this.fault }),
      cpuMs: Object.fromEntries(
        parts.map((part) => [part, (sum(({ cpuSeconds: used }) => used[part] ?? 0) * 1_000) / count]),
      ),
      memoryMb: await memoryMb(this.side.parts),
      rounds: this.rounds,
    };
  }
}
