import { Redis } from 'ioredis';
import type { App } from '../support/processes.js';
import { until } from '../support/until.js';
import { at, type Fleet } from './fleet.js';
import type { Random } from './random.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a killer does, and how often in comparison. */
const DEEDS = {
  'kill a worker': 4,
  'kill an API': 3,
  'kill PostgreSQL': 2,
  'cut all connections': 1.5,
  'freeze a worker': 1.5,
  'stop a worker': 1.5,
} as const;
const DEEDS_WITH_REDIS = { ...DEEDS, 'kill Redis': 2, 'empty Redis': 1.5 } as const;
type Deed = keyof typeof DEEDS_WITH_REDIS;

/** Time between two deeds, in milliseconds. */
const REST_MS = [600, 2_200] as const;

const CUT = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()`;

/** Longest time for a graceful stop, in milliseconds: a little more than what the service promises. */
const STOP_MS = 27_000;

/**
 * Does harm to a fleet at random, and brings back what it took. Never to all workers at once: one is stopped or frozen at a
 * time, and one more killed.
 */
export class Killer {
  /** What was done, with the second it was done in. */
  readonly deeds: string[] = [];
  /** What went wrong in a way that no harm excuses. */
  readonly violations: string[] = [];
  private readonly begun = Date.now();
  private readonly cleaning = new Set<Promise<void>>();
  /** The slot of the worker that is being stopped or frozen. */
  private held: number | undefined;
  private stopped = false;
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly fleet: Fleet,
    private readonly random: Random,
    /** Asked before each deed. */
    private readonly enough: () => boolean,
  ) {}

  start(): void {
    this.work = this.loop();
  }

  /** Does no more harm; resolves once everything is back. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.work;
    await Promise.all(this.cleaning);
    this.violations.push(...this.fleet.crashed());
  }

  private async loop(): Promise<void> {
    const weights: Partial<Record<Deed, number>> = this.fleet.stack.redis === undefined ? DEEDS : DEEDS_WITH_REDIS;
    for (;;) {
      await pause(this.random.between(...REST_MS));
      if (this.stopped || this.enough()) return;
      const deed = this.random.weighted(weights);
      try {
        await this.do(deed);
      } catch (error) {
        this.violations.push(`${deed}: ${String(error)}`);
      }
    }
  }

  private async do(deed: Deed): Promise<void> {
    const { stack, apis } = this.fleet;
    switch (deed) {
      case 'kill a worker':
        return this.killApp(deed, this.fleet.workers, this.freeWorker(), this.random.between(0, 1_000));
      case 'kill an API':
        return this.killApp(deed, apis, Math.floor(this.random.next() * apis.length), this.random.between(200, 1_500));
      case 'stop a worker':
        return this.hold(deed, (slot) => this.stopWorker(slot));
      case 'freeze a worker': {
        const ms = this.random.between(12_000, 15_000);
        return this.hold(`${deed} for ${Math.round(ms)} ms`, (slot) => this.freezeWorker(slot, ms));
      }
      case 'kill PostgreSQL':
        return this.killStore(deed, stack.postgres, this.random.between(500, 2_000));
      case 'kill Redis':
        return this.killStore(deed, stack.redis, this.random.between(500, 3_000));
      case 'cut all connections': {
        this.note(deed);
        // Our own pool may have kept a connection that was cut before.
        await until(() => stack.database.query(CUT).catch(() => undefined), 'PostgreSQL to cut connections');
        return;
      }
      case 'empty Redis': {
        this.note(deed);
        const redis = new Redis(stack.redis?.url ?? '', { maxRetriesPerRequest: 1 });
        redis.on('error', () => undefined);
        await redis.flushall().finally(() => redis.disconnect());
        return;
      }
    }
  }

  private note(what: string): void {
    this.deeds.push(`${((Date.now() - this.begun) / 1_000).toFixed(1)} s: ${what}`);
  }

  private freeWorker(): number {
    const slots = [...this.fleet.workers.keys()];
    return this.random.pick(slots.filter((slot) => slot !== this.held));
  }

  private async killApp(deed: string, slots: App[], slot: number, awayMs: number): Promise<void> {
    this.note(`${deed} (${slot}), back after ${Math.round(awayMs)} ms`);
    await at(slots, slot).kill();
    await pause(awayMs);
    await this.fleet.replace(slots, slot);
  }

  private async killStore(
    deed: string,
    store: { kill(): Promise<void>; restart(): Promise<void> } | undefined,
    awayMs: number,
  ): Promise<void> {
    this.note(`${deed}, back after ${Math.round(awayMs)} ms`);
    await store?.kill();
    await pause(awayMs);
    await store?.restart();
  }

  /** Takes a worker for something that lasts, and goes on meanwhile. */
  private hold(deed: string, work: (slot: number) => Promise<void>): void {
    if (this.held !== undefined) return;
    const slot = this.freeWorker();
    this.held = slot;
    this.note(`${deed} (${slot})`);
    const done = work(slot)
      .catch((error: unknown) => void this.violations.push(`${deed}: ${String(error)}`))
      .finally(() => {
        this.held = undefined;
        this.cleaning.delete(done);
      });
    this.cleaning.add(done);
  }

  private async stopWorker(slot: number): Promise<void> {
    const worker = at(this.fleet.workers, slot);
    const begun = Date.now();
    const code = await worker.stop(STOP_MS);
    if (code !== 0) {
      const last = worker.output().trim().split('\n').slice(-8).join('\n');
      this.violations.push(`a worker told to stop ended with ${code} after ${Date.now() - begun} ms:\n${last}`);
    }
    await this.fleet.replace(this.fleet.workers, slot);
  }

  private async freezeWorker(slot: number, ms: number): Promise<void> {
    const worker = at(this.fleet.workers, slot);
    worker.freeze();
    await pause(ms);
    worker.thaw();
  }
}
