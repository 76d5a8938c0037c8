import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { claim, type Claimed, type ClaimedJob, claimProbe } from '#jobs/claim.js';
import { anyOverdue } from '#jobs/reconcile.js';
import { OLDEST_EVERY, SHORTEST_OPEN_MS } from '#jobs/timings.js';
import { line } from '#process/log-line.js';
import { Waiters } from '#process/waiters.js';
import { Doorbell } from '#queue/doorbell.js';
import { repaired } from '../metrics/repairs.js';
import { Circuits, type Gate, type Probe } from '../model/circuits.js';
import { ReplyRunner } from './reply.runner.js';
import { Slots } from './slots.js';

/**
 * This worker's place at the line of jobs that are due. Called there, by a ticket or by what it learns itself, it takes as many as it has
 * room for, a few in each statement, until nobody waits; and it calls another worker when there is more than it takes. So the queue
 * carries a call for each while in which nobody is at the line, not one for each turn.
 */
@Injectable()
export class Line {
  private readonly logger = new Logger(Line.name);
  /** Somebody has called since the last look began. */
  private called = false;
  /** Jobs whose attempts were lost, to be taken over. */
  private lost: readonly string[] = [];
  private serving: Promise<void> | undefined;
  /** Jobs taken so far: every eighth is that which has waited longest. */
  private taken = 0;
  private readonly stopping = new AbortController();
  private readonly callers = new Waiters();

  constructor(
    private readonly manager: EntityManager,
    private readonly circuits: Circuits,
    private readonly runner: ReplyRunner,
    private readonly slots: Slots,
    private readonly doorbell: Doorbell,
  ) {
    runner.onMore(() => void this.come());
    circuits.onChange(() => void this.come());
  }

  /** Nobody is at the line for this worker, though it has room. */
  get isAway(): boolean {
    return this.serving === undefined && this.slots.room > 0;
  }

  /** Whether a job is overdue that this worker does not hold back. */
  async isMissed(): Promise<boolean> {
    const { closed, probes } = this.circuits.gate();
    return (!closed || probes.length > 0) && anyOverdue(this.manager, { withheld: this.circuits.waiting() });
  }

  /**
   * Goes to the line, or has whoever is there look once more; takes over those of `lost` first whose attempts were lost. Never throws.
   * @returns resolves when nobody waits, and this worker has room: until then it is not to be called again
   */
  async come(lost: readonly string[] = []): Promise<void> {
    this.called = true;
    this.callers.wakeAll();
    if (lost.length > 0) this.lost = lost;
    // Called in the very moment in which the last look ended, somebody has to look again.
    while (this.called && !this.stopping.signal.aborted) {
      this.serving ??= this.serve().finally(() => (this.serving = undefined));
      await this.serving;
    }
  }

  /** Takes nothing more: others are called for what waits. Resolves when nobody is at the line for this worker. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.serving;
  }

  private async serve(): Promise<void> {
    const { signal } = this.stopping;
    let passedOn = false;
    const passOn = (): void => {
      if (!passedOn) void this.doorbell.call();
      passedOn = true;
    };
    try {
      while (this.called && !signal.aborted) {
        if (this.slots.room === 0) {
          passOn();
          await this.slots.freed(signal);
          continue;
        }
        this.called = false;
        if (await this.take()) {
          this.called = true;
          passOn();
        } else if (this.slots.room === 0) {
          // A ticket that a full worker takes would be kept from all others.
          await this.slots.freed(signal);
        } else if (!this.called && this.circuits.isOpen) {
          await this.leaveToOthers(signal);
        }
      }
      if (this.called) await this.doorbell.call();
    } catch (error) {
      // The database is away, or a fault of ours: what is due is found again by the reconciler.
      this.logger.error(line('nothing could be claimed', {}, error));
    }
    this.called = false;
  }

  /**
   * The model may be away for this worker alone. Another one is called for what is due, and this one keeps its own ticket for a
   * moment, so that it takes no more of them from the others.
   */
  private async leaveToOthers(signal: AbortSignal): Promise<void> {
    if (!(await anyOverdue(this.manager, { seconds: 0 })) || this.called) return;
    await this.doorbell.call();
    const rest = new AbortController();
    const stop = (): void => rest.abort();
    const timer = setTimeout(stop, SHORTEST_OPEN_MS);
    signal.addEventListener('abort', stop, { once: true });
    await this.callers.wait(rest.signal);
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }

  /** Claims some of what is due and begins it. @returns whether there is more to claim */
  private async take(): Promise<boolean> {
    const gate = this.circuits.gate();
    for (const probe of gate.probes) await this.probe(probe);
    if (gate.closed || gate.room === 0 || this.slots.room === 0) return false;
    const { jobs, more } = await this.claim(gate);
    for (const job of jobs) this.runner.run(job, this.circuits.begin(job));
    this.taken += jobs.length;
    this.tookOver(jobs);
    return more;
  }

  /** Begins an attempt that tries whether the model is back, if a job is due that may. */
  private async probe(probe: Probe): Promise<void> {
    if (this.slots.room === 0) return;
    const { only, withheld } = this.circuits.probe(probe);
    const job = await claimProbe(this.manager, { ...only, withheld, afresh: probe.afresh, run: this.slots.running });
    if (job !== undefined) this.runner.run(job, this.circuits.begin(job, true));
  }

  private claim({ withheld, room }: Gate): Promise<Claimed> {
    const untilOldest = OLDEST_EVERY - 1 - (this.taken % OLDEST_EVERY);
    return claim(this.manager, {
      most: Math.min(this.slots.room, untilOldest, room),
      // An attempt that runs here renews its own lease with its next heartbeat, once the database is back.
      lost: this.lost.filter((id) => !this.slots.runs(id)),
      order: untilOldest === 0 ? 'oldest' : 'fair',
      ...(withheld !== undefined && { withheld }),
    });
  }

  private tookOver(jobs: readonly ClaimedJob[]): void {
    const over = jobs.filter(({ takenOver }) => takenOver).length;
    if (over > 0) this.logger.warn(`${over} jobs taken over: their attempts were lost`);
    repaired('abandoned', over);
    if (over === 0) this.lost = [];
  }
}
