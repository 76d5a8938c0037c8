import { Injectable, Logger } from '@nestjs/common';
import { LONGEST_OPEN_MS, OUTAGE_JOBS, OUTAGE_MS, SHORTEST_OPEN_MS } from '#jobs/timings.js';

/** Leave to begin one attempt; to be given back by saying what came of it. */
export interface Pass {
  /** The model writes. */
  succeeded(): void;
  /** The model is overloaded or away; it may have said for how long, in milliseconds. */
  failed(retryAfterMs?: number): void;
  /** Nothing was learned: there was no attempt, or it was stopped, or failed for reasons of its own. */
  unused(): void;
}

/**
 * Keeps an outage of the model from burning attempts, for all attempts of this process.
 *
 * It opens when several jobs in a row fail and none succeeds in between: one that always fails is that job's trouble. While it
 * is open no attempt begins; then one at a time tries, and its success lets all begin that wait.
 */
@Injectable()
export class Circuit {
  private readonly logger = new Logger(Circuit.name);
  /** The jobs that have failed since the last success, and when. */
  private readonly failing = new Map<string, number>();
  /** In the order they came. */
  private readonly waiting = new Set<() => void>();
  /** How long it was opened for, in milliseconds; 0: it is closed. */
  private period = 0;
  private until = 0;
  private trying = false;
  private timer: NodeJS.Timeout | undefined;

  get isOpen(): boolean {
    return this.period > 0;
  }

  /** Time until an attempt may try, in milliseconds. */
  get opensInMs(): number {
    return this.isOpen ? Math.max(0, this.until - performance.now()) : 0;
  }

  /** Waits until an attempt at the job may begin. @returns undefined when `stop` came first */
  async enter(jobId: string, stop: AbortSignal): Promise<Pass | undefined> {
    while (this.isOpen && (this.trying || this.opensInMs > 0)) {
      if (stop.aborted) return undefined;
      await this.turn(stop);
    }
    if (stop.aborted) return undefined;
    const tries = this.isOpen;
    this.trying ||= tries;
    return this.pass(jobId, tries);
  }

  private pass(jobId: string, tries: boolean): Pass {
    let alive = false;
    const giveBack = (): boolean => {
      const tried = tries;
      if (tries) this.trying = false;
      tries = false;
      return tried;
    };
    return {
      succeeded: () => {
        // Once: a reply that goes on and on says nothing of the calls that are made meanwhile.
        if (alive) return;
        alive = true;
        // Nor does one that was begun before the model went away.
        if (giveBack()) this.close();
        else if (!this.isOpen) this.failing.clear();
      },
      failed: (retryAfterMs = 0) => {
        if (giveBack()) this.open(Math.min(this.period * 2, LONGEST_OPEN_MS), retryAfterMs);
        else if (!this.isOpen) this.note(jobId, retryAfterMs);
      },
      unused: () => {
        if (giveBack()) this.next();
      },
    };
  }

  private note(jobId: string, retryAfterMs: number): void {
    const now = performance.now();
    for (const [id, at] of this.failing) if (at < now - OUTAGE_MS) this.failing.delete(id);
    this.failing.set(jobId, now);
    if (this.failing.size >= OUTAGE_JOBS) this.open(SHORTEST_OPEN_MS, retryAfterMs);
  }

  private open(period: number, retryAfterMs: number): void {
    this.period = period;
    const ms = Math.max(period, retryAfterMs);
    this.until = performance.now() + ms;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.next(), Math.ceil(ms));
    this.logger.warn(`the model is away: no attempt begins for ${Math.ceil(ms)} ms`);
  }

  private close(): void {
    this.period = 0;
    this.failing.clear();
    clearTimeout(this.timer);
    this.logger.log('the model is back');
    for (const wake of [...this.waiting]) wake();
  }

  /** Lets the one that has waited longest try. */
  private next(): void {
    // A timer may be early by a millisecond.
    if (this.opensInMs > 0) {
      this.timer = setTimeout(() => this.next(), Math.ceil(this.opensInMs));
      return;
    }
    const [wake] = this.waiting;
    wake?.();
  }

  private turn(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        stop.removeEventListener('abort', wake);
        resolve();
      };
      this.waiting.add(wake);
      stop.addEventListener('abort', wake);
    });
  }
}
