import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { claim, type Claimed, type ClaimedJob, claimProbe } from '#jobs/claim.js';
import { Definitions } from '#jobs/definitions.js';
import { anyOverdue } from '#jobs/reconcile.js';
import { OLDEST_EVERY, SHORTEST_OPEN_MS } from '#jobs/timings.js';
import { logLine } from '#process/log-line.js';
import { Waiters } from '#process/waiters.js';
import { WorkerWaker } from '#queue/worker-waker.js';
import { Attempts } from '../attempt/attempts.js';
import { repaired } from '../metrics/repairs.js';
import { Circuits, type Gate, type Probe } from '../model/circuits.js';
import { withModel } from '../model/fallback.js';
import { Slots } from './slots.js';

/**
 * Claims jobs for this worker and begins their attempts. A ticket, the end of an attempt, a circuit or the reconciler wakes it. It claims a
 * few jobs with each statement, until no job is due or all slots are full. If more jobs are due than slots are free, it wakes another
 * worker. A busy worker needs no tickets, so a burst of turns costs one ticket, not one per turn.
 */
@Injectable()
export class Claimer {
  private readonly logger = new Logger(Claimer.name);
  /** Whether the claimer was woken since its last claim began. */
  private woken = false;
  /** Jobs whose attempts were lost, to be taken over. */
  private lost: readonly string[] = [];
  private claiming: Promise<void> | undefined;
  /** Jobs claimed so far. Every eighth is the one that has waited longest. */
  private claimed = 0;
  private readonly definitions = new Definitions();
  private readonly stopping = new AbortController();
  private readonly resting = new Waiters();

  constructor(
    private readonly manager: EntityManager,
    private readonly circuits: Circuits,
    private readonly attempts: Attempts,
    private readonly slots: Slots,
    private readonly waker: WorkerWaker,
  ) {
    circuits.onChange(() => void this.wake());
  }

  /** Whether the claimer is idle although slots are free. */
  get isAsleep(): boolean {
    return this.claiming === undefined && this.slots.room > 0;
  }

  /** Whether a job is overdue that no circuit of this worker holds back. */
  async isMissed(): Promise<boolean> {
    const { closed, probes } = this.circuits.gate();
    return (!closed || probes.length > 0) && anyOverdue(this.manager, { withheld: this.circuits.waiting() });
  }

  /**
   * Claims due jobs. If a claim is under way, looks once more after it. Never throws.
   * @param lost jobs whose attempts may be lost; lost ones are claimed first
   * @returns resolves when no job is due and a slot is free. The queue gives this worker no other ticket before that
   */
  async wake(lost: readonly string[] = []): Promise<void> {
    this.woken = true;
    this.resting.wakeAll();
    if (lost.length > 0) this.lost = lost;
    // A wake-up may come at the moment at which the last claim ends.
    while (this.woken && !this.stopping.signal.aborted) {
      this.claiming ??= this.claimAll().finally(() => (this.claiming = undefined));
      await this.claiming;
    }
  }

  /** Claims no more jobs, and wakes another worker for the due ones. Resolves when no claim is under way. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.claiming;
  }

  private async claimAll(): Promise<void> {
    const { signal } = this.stopping;
    let passedOn = false;
    const passOn = (): void => {
      if (!passedOn) void this.waker.wakeAny();
      passedOn = true;
    };
    try {
      while (this.woken && !signal.aborted) {
        if (this.slots.room === 0) {
          passOn();
          await this.slots.freed(signal);
          continue;
        }
        this.woken = false;
        if (await this.claimSome()) {
          this.woken = true;
          passOn();
        } else if (this.slots.room === 0) {
          // A full worker must not take another ticket: other workers could not get that one.
          await this.slots.freed(signal);
        } else if (!this.woken && this.circuits.isOpen) {
          await this.leaveToOthers(signal);
        }
      }
      if (this.woken) await this.waker.wakeAny();
    } catch (error) {
      // The database is away, or our code has a fault. The reconciler finds the due jobs later.
      this.logger.error(logLine('cannot claim jobs', {}, error));
    }
    this.woken = false;
  }

  /**
   * The model may be unreachable for this worker only. So the claimer wakes another worker for the due jobs. It keeps its own ticket for a
   * moment, so that it takes none from the others.
   */
  private async leaveToOthers(signal: AbortSignal): Promise<void> {
    if (!(await anyOverdue(this.manager, { seconds: 0 })) || this.woken) return;
    await this.waker.wakeAny();
    const rest = new AbortController();
    const stop = (): void => rest.abort();
    const timer = setTimeout(stop, SHORTEST_OPEN_MS);
    signal.addEventListener('abort', stop, { once: true });
    await this.resting.wait(rest.signal);
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }

  /** Claims some due jobs and begins their attempts. @returns whether more jobs are due */
  private async claimSome(): Promise<boolean> {
    const gate = this.circuits.gate();
    for (const probe of gate.probes) await this.probe(probe);
    if (gate.closed || gate.room === 0 || this.slots.room === 0) return false;
    const { jobs, more } = await this.claim(gate);
    for (const job of jobs) this.begin(withModel(job, (model) => this.circuits.holdsModel(model)));
    this.claimed += jobs.length;
    this.tookOver(jobs);
    return more;
  }

  /** Begins a probe, if a due job may be one. */
  private async probe(probe: Probe): Promise<void> {
    if (this.slots.room === 0) return;
    const { only, withheld } = this.circuits.probe(probe);
    const job = await claimProbe(this.manager, {
      ...only,
      withheld,
      definitions: this.definitions,
      afresh: probe.afresh,
      run: this.slots.running,
      uptimeSeconds: process.uptime(),
    });
    // A probe shows whether the job's own model is back, except for a turn that another model has begun.
    if (job !== undefined)
      this.begin(
        withModel(job, () => false),
        true,
      );
  }

  /** Begins a claimed attempt. It holds a slot until it has ended. */
  private begin(job: ClaimedJob, probes = false): void {
    const permit = this.circuits.begin(job, probes);
    void this.slots
      .take(job.id, (stop) => this.attempts.run(job, permit, stop))
      .then(({ more }) => {
        if (more) void this.wake();
      });
  }

  private claim({ withheld, room }: Gate): Promise<Claimed> {
    const untilOldest = OLDEST_EVERY - 1 - (this.claimed % OLDEST_EVERY);
    return claim(this.manager, {
      most: Math.min(this.slots.room, untilOldest, room),
      definitions: this.definitions,
      // An attempt that runs here renews its own lease with its next heartbeat, once the database is back.
      lost: this.lost.filter((id) => !this.slots.runs(id)),
      order: untilOldest === 0 ? 'oldest' : 'fair',
      uptimeSeconds: process.uptime(),
      ...(withheld !== undefined && { withheld }),
    });
  }

  private tookOver(jobs: readonly ClaimedJob[]): void {
    const over = jobs.filter(({ takenOver }) => takenOver).length;
    if (over > 0) this.logger.warn(`took over ${over} jobs: their attempts were lost`);
    repaired('abandoned', over);
    if (over === 0) this.lost = [];
  }
}
