import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { App } from '../support/processes.js';
import { until } from '../support/until.js';
import { at, type Fleet } from './fleet.js';
import type { Random } from './random.js';

/** A killer's deeds, with their weights. */
const DEEDS = {
  'kill a worker': 4,
  'freeze a worker': 1.5,
  'stop a worker': 1.5,
  'kill an API': 3,
  'kill PostgreSQL': 2,
  'freeze PostgreSQL': 1,
  'cut all connections': 1.5,
} as const;
const DEEDS_WITH_REDIS = { ...DEEDS, 'kill Redis': 2, 'freeze Redis': 1, 'empty Redis': 1.5 } as const;
type Deed = keyof typeof DEEDS_WITH_REDIS;

/** The time between the starts of two deeds, in milliseconds. */
const REST_MS = [700, 2_500] as const;

/** How many deeds may be under way, each on another part. */
const MOST_AT_ONCE = 3;

/** In milliseconds. A frozen worker thaws before, while or after others take over its jobs. */
const FROZEN_WORKER_MS = [8_000, 15_000] as const;

/** In milliseconds. A frozen store thaws before the apps give it up. */
const FROZEN_STORE_MS = [1_000, 6_000] as const;

const CUT = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()`;

/** The longest graceful stop, in milliseconds: a little more than the service promises. */
export const STOP_MS = 27_000;

/** A harm to a store or an app. */
interface Harm {
  /** The harmed part. Nothing else is done to it meanwhile. */
  readonly part: string;
  readonly what: string;
  readonly work: () => Promise<void>;
}

interface Store {
  kill(): Promise<void>;
  restart(): Promise<void>;
  freeze(): Promise<void> | void;
  thaw(): void;
}

/** Harms a fleet at random, and brings back what it took. At least one worker is always left alone. */
export class Killer {
  /** The deeds, each with its second. */
  readonly deeds: string[] = [];
  /** Faults that no harm excuses. */
  readonly violations: string[] = [];
  private readonly begun = Date.now();
  private readonly underWay = new Map<string, Promise<void>>();
  private stopped = false;
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly fleet: Fleet,
    private readonly random: Random,
    /** Asked before each deed; true ends the killing. */
    private readonly enough: () => boolean,
  ) {}

  start(): void {
    this.work = this.loop();
  }

  /** Ends the killing. Resolves once everything is back. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.work;
    this.violations.push(...this.fleet.crashed());
  }

  private async loop(): Promise<void> {
    const weights: Partial<Record<Deed, number>> = this.fleet.stack.redis === undefined ? DEEDS : DEEDS_WITH_REDIS;
    for (;;) {
      await pause(this.random.between(...REST_MS));
      if (this.stopped || this.enough()) break;
      const harm = this.harm(this.random.weighted(weights));
      if (harm !== undefined && this.underWay.size < MOST_AT_ONCE && !this.underWay.has(harm.part)) this.do(harm);
    }
    await Promise.all(this.underWay.values());
  }

  private do({ part, what, work }: Harm): void {
    this.deeds.push(`${((Date.now() - this.begun) / 1_000).toFixed(1)} s: ${what}`);
    const done = work()
      .catch((error: unknown) => void this.violations.push(`${what}: ${String(error)}`))
      .finally(() => this.underWay.delete(part));
    this.underWay.set(part, done);
  }

  private harm(deed: Deed): Harm | undefined {
    const { stack, apis, workers } = this.fleet;
    switch (deed) {
      case 'kill a worker':
        return this.onWorker((slot) => this.killApp(deed, workers, slot, this.random.between(0, 1_000)));
      case 'stop a worker':
        return this.onWorker((slot) => ({ what: `${deed} (${slot})`, work: () => this.stopWorker(slot) }));
      case 'freeze a worker':
        return this.onWorker((slot) => freeze(`${deed} (${slot})`, at(workers, slot), this.ms(FROZEN_WORKER_MS)));
      case 'kill an API': {
        const slot = Math.floor(this.random.next() * apis.length);
        return { part: `API ${slot}`, ...this.killApp(deed, apis, slot, this.random.between(200, 1_500)) };
      }
      case 'kill PostgreSQL':
        return stack.postgres && { part: 'PostgreSQL', ...kill(deed, stack.postgres, this.ms([500, 2_000])) };
      case 'freeze PostgreSQL':
        return stack.postgres && { part: 'PostgreSQL', ...freeze(deed, stack.postgres, this.ms(FROZEN_STORE_MS)) };
      case 'cut all connections':
        // Our own pool may use a connection that was cut before.
        const cut = (): Promise<unknown> => until(() => stack.database.query(CUT).catch(() => undefined), deed);
        return { part: 'PostgreSQL', what: deed, work: async () => void (await cut()) };
      case 'kill Redis':
        return stack.redis && { part: 'Redis', ...kill(deed, stack.redis, this.ms([500, 3_000])) };
      case 'freeze Redis':
        return stack.redis && { part: 'Redis', ...freeze(deed, stack.redis, this.ms(FROZEN_STORE_MS)) };
      case 'empty Redis':
        return stack.redis && { part: 'Redis', what: deed, work: () => empty(stack.redis?.url ?? '') };
    }
  }

  private ms([low, high]: readonly [number, number]): number {
    return Math.round(this.random.between(low, high));
  }

  /** Harms a worker that suffers no harm yet, if another such worker is left. */
  private onWorker(harm: (slot: number) => Omit<Harm, 'part'>): Harm | undefined {
    const free = [...this.fleet.workers.keys()].filter((slot) => !this.underWay.has(`worker ${slot}`));
    if (free.length < 2) return undefined;
    const slot = this.random.pick(free);
    return { part: `worker ${slot}`, ...harm(slot) };
  }

  private killApp(deed: Deed, slots: App[], slot: number, awayMs: number): Omit<Harm, 'part'> {
    return {
      what: `${deed} (${slot}), back after ${Math.round(awayMs)} ms`,
      work: async () => {
        await at(slots, slot).kill();
        await pause(awayMs);
        await this.fleet.replace(slots, slot);
      },
    };
  }

  private async stopWorker(slot: number): Promise<void> {
    const worker = at(this.fleet.workers, slot);
    const begun = Date.now();
    const code = await worker.stop(STOP_MS);
    if (code !== 0) {
      const last = worker.output().trim().split('\n').slice(-8).join('\n');
      this.violations.push(`a worker ended after SIGTERM with ${code} after ${Date.now() - begun} ms:\n${last}`);
    }
    await this.fleet.replace(this.fleet.workers, slot);
  }
}

function kill(deed: Deed, store: Pick<Store, 'kill' | 'restart'>, awayMs: number): Omit<Harm, 'part'> {
  return {
    what: `${deed}, back after ${awayMs} ms`,
    work: async () => {
      await store.kill();
      await pause(awayMs);
      await store.restart();
    },
  };
}

function freeze(what: string, victim: Pick<Store, 'freeze' | 'thaw'>, ms: number): Omit<Harm, 'part'> {
  return {
    what: `${what} for ${ms} ms`,
    work: async () => {
      await victim.freeze();
      await pause(ms);
      victim.thaw();
    },
  };
}

async function empty(url: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  redis.on('error', () => undefined);
  await redis.flushall().finally(() => redis.disconnect());
}
