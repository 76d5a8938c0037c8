import {
  AFRESH_BESIDE_MS,
  ANSWERED_LATELY_MS,
  FIRST_AFTER_OUTAGE,
  LONGEST_HOLD_MS,
  LONGEST_OPEN_MS,
  OUTAGE_JOBS,
  OUTAGE_MS,
  RAMP_COUNTS_MS,
  RAMP_ENDS_AT,
  SHORTEST_HOLD_MS,
  SHORTEST_OPEN_MS,
  STALE_HOLD_SECONDS,
  SUSPECT_MS,
} from '#jobs/timings.js';
import type { ModelFault } from './model-fault.js';

/** A job and its user. */
export interface OfUser {
  readonly id: string;
  readonly userId: string;
}

/** Called when a circuit opens (for how long, and why), when more attempts may begin than before, and when it closes. */
export interface CircuitEvents {
  opened(ms: number, fault: ModelFault): void;
  mayTry(): void;
  closed(how: 'answered' | 'forgotten'): void;
}

/**
 * A circuit breaker for one kind of call, shared by all attempts of this process. It opens
 *
 * - in an outage: when several jobs fail in a row and no answer begins in between;
 * - at once, when the model says that an operator has to act (the key, credit, a model that is gone).
 *
 * While it is open no attempt begins. After a while one attempt at a time probes whether the model is back. As soon as the model begins an
 * answer, the circuit closes and the other attempts follow, few at first. If it opens again soon, it stays open longer each time.
 *
 * A job that failed before others were answered, and fails again while others are answered, is itself at fault. Its failures and those of
 * its user's other jobs do not count while that goes on. If such jobs open the circuit all the same, it stays open for the shortest time.
 */
export class Circuit {
  /** The jobs whose failures count: when each failed, and its user. */
  private readonly failing = new Map<string, { at: number; userId: string }>();
  /**
   * Jobs that failed before others were answered, and users with a job that failed again after that. The values say until when each is
   * remembered.
   */
  private readonly disproved = new Map<string, number>();
  private readonly suspects = new Map<string, number>();
  private fault: ModelFault | undefined;
  /** How long the circuit last opened, in milliseconds, and until when. */
  private period = 0;
  private until = 0;
  /** When a job that was never tried may probe. */
  private afreshFrom = 0;
  private openedAt = -Infinity;
  private closedAt = -Infinity;
  private answeredAt = -Infinity;
  /** The attempts that probe, and since when. */
  private readonly probers = new Map<symbol, number>();
  private timer: NodeJS.Timeout | undefined;
  /** Attempts that have begun and neither were answered nor failed. */
  private pending = 0;
  /** After an outage: how many attempts may wait for an answer at once, and how many do. */
  private ramp: { allowed: number; waiting: number } | undefined;

  constructor(private readonly events: CircuitEvents) {}

  get isOpen(): boolean {
    return this.fault !== undefined;
  }

  /** Why the circuit is open. */
  get reason(): ModelFault | undefined {
    return this.fault;
  }

  /** Time until an attempt may probe, in milliseconds. */
  get opensInMs(): number {
    return this.isOpen ? Math.max(0, this.until - performance.now()) : 0;
  }

  /** Whether the circuit is open and an attempt should probe. */
  get mayTry(): boolean {
    return this.isOpen && this.probers.size === 0 && this.opensInMs === 0;
  }

  /** The same for a job that was never tried: it need not wait long because other probes fail or are silent. */
  get mayTryAfresh(): boolean {
    return this.isOpen && performance.now() >= this.afreshFrom;
  }

  /** How many attempts may begin now. The ramp after an outage ends after a while, even if few attempts come. */
  room(): number {
    if (performance.now() > this.closedAt + OUTAGE_MS) this.ramp = undefined;
    return this.ramp === undefined ? Infinity : Math.max(0, this.ramp.allowed - this.ramp.waiting);
  }

  /** Whether the circuit is closed and has nothing to remember. */
  isIdle(): boolean {
    const now = performance.now();
    this.forget(now);
    return (
      this.pending === 0 &&
      !this.isOpen &&
      this.room() === Infinity &&
      this.failing.size + this.disproved.size + this.suspects.size === 0 &&
      now > this.closedAt + OUTAGE_MS
    );
  }

  /** Notes that an attempt begins. @param probes the attempt probes whether the model is back */
  begin(probes: boolean): Trial {
    const me = Symbol('attempt');
    const begun = performance.now();
    const { ramp } = this;
    const leaveRamp = ramp === undefined ? undefined : this.enter(ramp);
    this.pending += 1;
    if (probes) {
      this.probers.set(me, begun);
      this.afreshFrom = begun + AFRESH_BESIDE_MS;
      this.next();
    }
    let over = false;
    const ends = (): boolean => {
      if (over) return false;
      over = true;
      this.pending -= 1;
      leaveRamp?.();
      return true;
    };
    return {
      answered: () => {
        if (!over && ramp !== undefined && ramp === this.ramp) this.widen(ramp);
        if (!ends()) return;
        this.answered(begun);
      },
      failed: (job, fault) => {
        if (!ends()) return true;
        return this.failed(job, fault, this.probers.delete(me));
      },
      unused: () => {
        if (ends() && this.probers.delete(me)) this.next();
      },
    };
  }

  /** Stops the timer. */
  stop(): void {
    clearTimeout(this.timer);
  }

  /** Notes that the model has begun to answer an attempt that began at `begun`. */
  private answered(begun: number): void {
    const now = performance.now();
    this.answeredAt = now;
    for (const [id, { at }] of this.failing) {
      if (at > begun) continue;
      this.failing.delete(id);
      this.disproved.set(id, now + SUSPECT_MS);
    }
    // An answer to a request that was sent before the circuit opened does not show that the model is back.
    if (this.isOpen && begun >= this.openedAt) this.close(now);
  }

  /** @returns whether the failure counts as the model's; false: it is the job's own */
  private failed({ id, userId }: OfUser, fault: ModelFault, tried: boolean): boolean {
    const now = performance.now();
    this.forget(now);
    // While the circuit is open, no job gets an answer, so no job is suspected.
    if (this.isOpen) {
      this.failing.set(id, { at: now, userId });
      if (tried) this.stayOpen(fault);
      return true;
    }
    const isSuspect = this.suspect(id, userId, now);
    if (isSuspect && this.answeredAt > now - ANSWERED_LATELY_MS) return false;
    this.failing.set(id, { at: now, userId });
    if (fault.operator !== undefined) this.openFor(SHORTEST_HOLD_MS, fault);
    else if (this.failing.size >= OUTAGE_JOBS) this.openFor(this.firstPeriod(now), fault);
    return true;
  }

  /** How long the circuit opens: longer if it opens again soon, unless all failures are of suspected users. */
  private firstPeriod(now: number): number {
    const isDoubtful = [...this.failing.values()].every(({ userId }) => this.suspects.has(userId));
    return now < this.closedAt + OUTAGE_MS && !isDoubtful ? this.period * 2 : SHORTEST_OPEN_MS;
  }

  /** Whether this job, or an earlier one of its user, failed again after others were answered. */
  private suspect(id: string, userId: string, now: number): boolean {
    if (this.disproved.delete(id) || this.suspects.has(userId)) this.suspects.set(userId, now + SUSPECT_MS);
    return this.suspects.has(userId);
  }

  private forget(now: number): void {
    for (const [id, { at }] of this.failing) if (at < now - OUTAGE_MS) this.failing.delete(id);
    for (const past of [this.disproved, this.suspects]) {
      for (const [key, until] of past) if (until < now) past.delete(key);
    }
  }

  private openFor(period: number, fault: ModelFault): void {
    const longest = fault.operator === undefined ? LONGEST_OPEN_MS : LONGEST_HOLD_MS;
    if (!this.isOpen) this.openedAt = performance.now();
    this.fault = fault;
    this.ramp = undefined;
    this.period = Math.min(period, longest);
    const ms = Math.ceil(Math.max(this.period, fault.retryAfterMs ?? 0));
    this.until = performance.now() + ms;
    this.afreshFrom = performance.now() + Math.min(ms, Math.max(SHORTEST_OPEN_MS, fault.retryAfterMs ?? 0));
    this.next();
    this.events.opened(ms, fault);
  }

  /**
   * Keeps the circuit open after a failed probe. After a regular probe the next one waits longer; after an early one, by a job that was
   * never tried, it does not.
   */
  private stayOpen(fault: ModelFault): void {
    if (this.opensInMs === 0) return this.openFor(this.period * 2, fault);
    this.afreshFrom = performance.now() + Math.max(SHORTEST_OPEN_MS, fault.retryAfterMs ?? 0);
    this.next();
  }

  private close(now: number): void {
    this.fault = undefined;
    this.probers.clear();
    this.closedAt = now;
    for (const id of this.failing.keys()) this.disproved.set(id, now + SUSPECT_MS);
    this.failing.clear();
    clearTimeout(this.timer);
    this.ramp = { allowed: FIRST_AFTER_OUTAGE, waiting: 0 };
    this.events.closed('answered');
  }

  /**
   * Closes a circuit without any probe for a long time, since no job waits. The next turns show whether the model is back, a few at first.
   */
  private giveUpWaiting(): void {
    if (!this.mayTry) return;
    this.fault = undefined;
    this.closedAt = performance.now();
    this.failing.clear();
    this.ramp = { allowed: FIRST_AFTER_OUTAGE, waiting: 0 };
    this.events.closed('forgotten');
  }

  /** Lets an attempt enter the ramp. It leaves by itself if it is silent for too long. @returns lets it leave, once */
  private enter(ramp: { waiting: number }): () => void {
    ramp.waiting += 1;
    let isIn = true;
    const leave = (): void => {
      if (!isIn) return;
      isIn = false;
      clearTimeout(timer);
      ramp.waiting -= 1;
      this.events.mayTry();
    };
    const timer = setTimeout(leave, RAMP_COUNTS_MS).unref();
    return leave;
  }

  /** Widens the ramp: after an answer, one more attempt may wait for its own. At some number the ramp ends. */
  private widen(ramp: { allowed: number }): void {
    ramp.allowed += 1;
    if (ramp.allowed >= RAMP_ENDS_AT) this.ramp = undefined;
  }

  /** Asks for a probe if one may begin, and sets the timer for the moment at which the next one may. */
  private next(): void {
    if (!this.isOpen) return;
    const now = performance.now();
    // A silent probe must not delay all others until its call is given up.
    for (const [prober, since] of this.probers) if (now >= since + LONGEST_OPEN_MS) this.probers.delete(prober);
    const moments = [
      this.afreshFrom,
      this.until,
      ...[...this.probers.values()].map((since) => since + LONGEST_OPEN_MS),
    ];
    const ms = Math.min(...moments.map((moment) => moment - now).filter((wait) => wait > 0));
    clearTimeout(this.timer);
    // A timer may fire a millisecond early.
    if (ms < Infinity) this.timer = setTimeout(() => this.next(), Math.ceil(ms));
    else this.timer = setTimeout(() => this.giveUpWaiting(), STALE_HOLD_SECONDS * 1_000).unref();
    if (this.mayTry || this.mayTryAfresh) this.events.mayTry();
  }
}

/** One attempt, as a circuit sees it. Only the first call of these three counts. */
export interface Trial {
  /** The model has begun to answer. */
  answered(): void;
  /**
   * The attempt failed without an answer.
   * @returns whether the failure counts as the model's; false: it is the job's own
   */
  failed(job: OfUser, fault: ModelFault): boolean;
  /** The attempt shows nothing about the model: it did not begin, it was stopped, or it failed for another reason. */
  unused(): void;
}
