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

/** A job, and the user it belongs to. */
export interface OfUser {
  readonly id: string;
  readonly userId: string;
}

/** Told when a circuit opens (for how long, and why), when more attempts may begin than before, and when it closes. */
export interface CircuitEvents {
  opened(ms: number, fault: ModelFault): void;
  mayTry(): void;
  closed(how: 'answered' | 'forgotten'): void;
}

/**
 * Keeps one kind of call from being made in vain, for all attempts of this process. It opens
 *
 * - in an outage: when several jobs fail in a row without an answer beginning in between;
 * - at once, when the model says that an operator has to act (the key, credit, a model that is gone).
 *
 * While it is open no attempt begins; then one at a time tries, and as soon as the model begins an answer, the others follow, few at
 * first. Should it open again right after, it stays open longer each time.
 *
 * A job that failed before others were answered, and fails again while others are answered, is itself at fault: neither it nor its
 * user's other jobs count as long as that goes on. Should such jobs open it all the same, it is for the shortest time.
 */
export class Circuit {
  /** The jobs that have failed, since when, and whose they are. */
  private readonly failing = new Map<string, { at: number; userId: string }>();
  /** Jobs that failed before others were answered, and users of whom one failed again; until when that is remembered. */
  private readonly disproved = new Map<string, number>();
  private readonly suspects = new Map<string, number>();
  private fault: ModelFault | undefined;
  /** How long it was opened for the last time, in milliseconds, and until when. */
  private period = 0;
  private until = 0;
  /** From when on a job that was never tried may try. */
  private afreshFrom = 0;
  private openedAt = -Infinity;
  private closedAt = -Infinity;
  private answeredAt = -Infinity;
  /** The attempts that try whether the model is back, and since when. */
  private readonly probers = new Map<symbol, number>();
  private timer: NodeJS.Timeout | undefined;
  /** Attempts that have begun and of which nothing is known yet. */
  private pending = 0;
  /** After an outage: how many attempts may wait for an answer, and those that do. */
  private ramp: { allowed: number; waiting: number } | undefined;

  constructor(private readonly events: CircuitEvents) {}

  get isOpen(): boolean {
    return this.fault !== undefined;
  }

  /** Why it is open. */
  get reason(): ModelFault | undefined {
    return this.fault;
  }

  /** Time until an attempt may try, in milliseconds. */
  get opensInMs(): number {
    return this.isOpen ? Math.max(0, this.until - performance.now()) : 0;
  }

  /** It is open, and somebody should try whether the model is back. */
  get mayTry(): boolean {
    return this.isOpen && this.probers.size === 0 && this.opensInMs === 0;
  }

  /** The same for a job that was never tried: it need not wait for long because of what others have come to, or keep quiet about. */
  get mayTryAfresh(): boolean {
    return this.isOpen && performance.now() >= this.afreshFrom;
  }

  /** How many attempts may begin now; where few come after an outage, nothing holds them back for long. */
  room(): number {
    if (performance.now() > this.closedAt + OUTAGE_MS) this.ramp = undefined;
    return this.ramp === undefined ? Infinity : Math.max(0, this.ramp.allowed - this.ramp.waiting);
  }

  /** Whether nothing of the past matters to it any more. */
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

  /** An attempt begins; `probes` says that it tries whether the model is back. */
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

  /** Ends its timer. */
  stop(): void {
    clearTimeout(this.timer);
  }

  /** The model has begun to answer an attempt that began at `begun`. */
  private answered(begun: number): void {
    const now = performance.now();
    this.answeredAt = now;
    for (const [id, { at }] of this.failing) {
      if (at > begun) continue;
      this.failing.delete(id);
      this.disproved.set(id, now + SUSPECT_MS);
    }
    // An answer to what was asked before it opened says nothing of the model as it is now.
    if (this.isOpen && begun >= this.openedAt) this.close(now);
  }

  /** @returns whether the failure counts as the model's; false: it is the job's own */
  private failed({ id, userId }: OfUser, fault: ModelFault, tried: boolean): boolean {
    const now = performance.now();
    this.forget(now);
    // Nobody is answered while it is open, so nobody is suspected.
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

  /** It stays open longer when it opens again soon, unless that is for jobs whose failure was disproved before. */
  private firstPeriod(now: number): number {
    const isDoubtful = [...this.failing.values()].every(({ userId }) => this.suspects.has(userId));
    return now < this.closedAt + OUTAGE_MS && !isDoubtful ? this.period * 2 : SHORTEST_OPEN_MS;
  }

  /** Whether the job, or one of its user's before it, failed once more after others were answered. */
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

  /** A try has failed. Only one that came in its time makes the next one wait longer. */
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

  /** Nobody has tried for long, since nothing waits: whether the model is back, the next turns will show, a few at first. */
  private giveUpWaiting(): void {
    if (!this.mayTry) return;
    this.fault = undefined;
    this.closedAt = performance.now();
    this.failing.clear();
    this.ramp = { allowed: FIRST_AFTER_OUTAGE, waiting: 0 };
    this.events.closed('forgotten');
  }

  /** An attempt begins after an outage. It leaves by itself when it is silent for long. @returns leaves, once */
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

  /** An answer has begun after an outage: one more may wait for theirs, until there are enough. */
  private widen(ramp: { allowed: number }): void {
    ramp.allowed += 1;
    if (ramp.allowed >= RAMP_ENDS_AT) this.ramp = undefined;
  }

  /** Has somebody try, if that may be, and looks again when more may: a job that was never tried, or any. */
  private next(): void {
    if (!this.isOpen) return;
    const now = performance.now();
    // A silent one must not keep all others waiting for as long as it is waited for.
    for (const [prober, since] of this.probers) if (now >= since + LONGEST_OPEN_MS) this.probers.delete(prober);
    const moments = [
      this.afreshFrom,
      this.until,
      ...[...this.probers.values()].map((since) => since + LONGEST_OPEN_MS),
    ];
    const ms = Math.min(...moments.map((moment) => moment - now).filter((wait) => wait > 0));
    clearTimeout(this.timer);
    // A timer may be early by a millisecond.
    if (ms < Infinity) this.timer = setTimeout(() => this.next(), Math.ceil(ms));
    else this.timer = setTimeout(() => this.giveUpWaiting(), STALE_HOLD_SECONDS * 1_000).unref();
    if (this.mayTry || this.mayTryAfresh) this.events.mayTry();
  }
}

/** One attempt, as a circuit sees it. Only the first of these counts. */
export interface Trial {
  /** The model has begun to answer. */
  answered(): void;
  /**
   * The attempt failed without an answer.
   * @returns whether the failure counts as the model's; false: it is the job's own
   */
  failed(job: OfUser, fault: ModelFault): boolean;
  /** Nothing was learned: there was no attempt, or it was stopped, or failed for reasons of its own. */
  unused(): void;
}
