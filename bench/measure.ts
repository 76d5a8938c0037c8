import { percentile, type Round } from './load.js';
import { cpuSeconds } from './meter.js';
import type { Operation } from './operations.js';
import type { Side, Sides } from './sides.js';

/** How an operation fared on one side. */
export interface Figures {
  readonly perSecond: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
  readonly fault?: string;
  /** Milliseconds of processor time for each operation, by part. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

export interface Measured {
  readonly name: string;
  readonly goal: number;
  readonly rejoinder: Figures;
  readonly ceiling: Figures;
  /** Operations a second against those of the ceiling; null when either side had errors. */
  readonly ratio: number | null;
  /** The same of each pair of rounds, lowest first: how steady it was. */
  readonly ratios: readonly number[];
}

/** Rounds of both sides in turn, so that whatever else the machine does meets both alike; the first pair is not counted. */
export async function measure(operation: Operation, sides: Sides, rounds: number, ms: number): Promise<Measured> {
  const tallies = { rejoinder: new Tally(), ceiling: new Tally() };
  await operation.run(sides.rejoinder, ms / 2);
  await operation.run(sides.ceiling, ms / 2);
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const order =
      round % 2 === 0 ? ([sides.rejoinder, sides.ceiling] as const) : ([sides.ceiling, sides.rejoinder] as const);
    for (const side of order) await tallies[side.name].add(side, () => operation.run(side, ms));
    ratios.push(tallies.rejoinder.lastRate / tallies.ceiling.lastRate);
  }
  const [rejoinder, ceiling] = [tallies.rejoinder.figures(), tallies.ceiling.figures()];
  const sound = rejoinder.errors + ceiling.errors === 0 && rejoinder.perSecond > 0 && ceiling.perSecond > 0;
  return {
    name: operation.name,
    goal: operation.goal,
    rejoinder,
    ceiling,
    ratio: sound ? rejoinder.perSecond / ceiling.perSecond : null,
    ratios: sound ? ratios.sort((a, b) => a - b) : [],
  };
}

class Tally {
  lastRate = NaN;
  private seconds = 0;
  private errors = 0;
  private fault: string | undefined;
  private readonly times: number[] = [];
  private readonly cpu = new Map<string, number>();

  async add({ parts }: Side, work: () => Promise<Round>): Promise<void> {
    const before = await cpuSeconds(parts);
    const round = await work();
    const after = await cpuSeconds(parts);
    this.seconds += round.seconds;
    this.errors += round.errors;
    this.fault ??= round.fault;
    for (const time of round.times) this.times.push(time);
    for (const [name, used] of Object.entries(after)) {
      this.cpu.set(name, (this.cpu.get(name) ?? 0) + used - (before[name] ?? 0));
    }
    this.lastRate = round.times.length / round.seconds;
  }

  figures(): Figures {
    const count = this.times.length;
    return {
      perSecond: count / this.seconds,
      p50: percentile(this.times, 0.5),
      p99: percentile(this.times, 0.99),
      errors: this.errors,
      ...(this.fault !== undefined && { fault: this.fault }),
      cpuMs: Object.fromEntries([...this.cpu].map(([name, seconds]) => [name, (seconds * 1_000) / count])),
    };
  }
}
