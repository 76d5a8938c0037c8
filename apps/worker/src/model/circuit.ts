import { Injectable, Logger } from '@nestjs/common';
import { LONGEST_OPEN_MS, OUTAGE_JOBS, OUTAGE_MS, SHORTEST_OPEN_MS } from '#jobs/timings.js';
import { Waiters } from '#process/waiters.js';

/** Leave to begin one attempt; to be given back by saying what came of it. */
export interface Pass {
  /** The model has begun to write. */
  alive(): void;
  /** The reply is whole. */
  succeeded(): void;
  /** The job's attempt failed because the model is overloaded or away; it may have said for how long, in milliseconds. */
  failed(jobId: string, retryAfterMs?: number): void;
  /** Nothing was learned: there was no attempt, or it was stopped, or failed for reasons of its own. */
  unused(): void;
}

/**
 * Keeps an outage of the model from burning attempts, for all attempts of this process.
 *
 * It opens when several jobs in a row fail and no reply that was begun meanwhile is whole: one that always fails is that
 * job's trouble, and a reply that was begun before says nothing. While it is open no attempt begins; then one at a time
 * tries, and as soon as the model writes, all begin that wait. Should it open again right after, it stays open longer.
 */
@Injectable()
export class Circuit {
  private readonly logger = new Logger(Circuit.name);
  /** The jobs that have failed, and when. */
  private readonly failing = new Map<string, number>();
  private readonly waiters = new Waiters();
  private open = false;
  /** How long it was opened for the last time, in milliseconds, and until when. */
  private period = 0;
  private until = 0;
  private closedAt = -Infinity;
  /** The pass of the one that tries. */
  private trying: Pass | undefined;
  private timer: NodeJS.Timeout | undefined;

  get isOpen(): boolean {
    return this.open;
  }

  /** Time until an attempt may try, in milliseconds. */
  get opensInMs(): number {
    return this.open ? Math.max(0, this.until - performance.now()) : 0;
  }

  /** Waits until an attempt may begin. @returns undefined when `stop` came first */
  async enter(stop: AbortSignal): Promise<Pass | undefined> {
    while (this.open && (this.trying !== undefined || this.opensInMs > 0) && !stop.aborted)
      await this.waiters.wait(stop);
    if (stop.aborted) {
      this.next();
      return undefined;
    }
    if (!this.open) return this.pass(false);
    this.trying = this.pass(true);
    // One that is silent must not keep all others waiting for as long as it is waited for.
    this.tryIn(LONGEST_OPEN_MS);
    return this.trying;
  }

  /** Leave for an attempt that is claimed already, whatever has become of the model since. */
  begin(): Pass {
    return this.pass(false);
  }

  private pass(tries: boolean): Pass {
    const begun = performance.now();
    let over = false;
    const pass: Pass = {
      alive: () => {
        if (!tries || over) return;
        over = true;
        if (this.open) this.close();
      },
      succeeded: () => {
        pass.alive();
        for (const [id, at] of this.failing) if (at <= begun) this.failing.delete(id);
      },
      failed: (jobId, retryAfterMs = 0) => {
        const tried = tries && !over;
        over = true;
        if (tried && this.open) this.openFor(this.period * 2, retryAfterMs);
        else if (!this.open) this.note(jobId, retryAfterMs);
      },
      unused: () => {
        if (!tries || over) return;
        over = true;
        if (this.trying !== pass) return;
        this.trying = undefined;
        this.next();
      },
    };
    return pass;
  }

  private note(jobId: string, retryAfterMs: number): void {
    const now = performance.now();
    for (const [id, at] of this.failing) if (at < now - OUTAGE_MS) this.failing.delete(id);
    this.failing.set(jobId, now);
    if (this.failing.size < OUTAGE_JOBS) return;
    this.openFor(now < this.closedAt + OUTAGE_MS ? this.period * 2 : SHORTEST_OPEN_MS, retryAfterMs);
  }

  private openFor(period: number, retryAfterMs: number): void {
    this.open = true;
    this.trying = undefined;
    this.period = Math.min(period, LONGEST_OPEN_MS);
    const ms = Math.ceil(Math.max(this.period, retryAfterMs));
    this.until = performance.now() + ms;
    this.tryIn(ms);
    this.logger.warn(`the model is away: no attempt begins for ${ms} ms`);
  }

  private close(): void {
    this.open = false;
    this.trying = undefined;
    this.closedAt = performance.now();
    this.failing.clear();
    clearTimeout(this.timer);
    this.logger.log('the model is back');
    this.waiters.wakeAll();
  }

  private tryIn(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.trying = undefined;
      this.next();
    }, ms);
  }

  /** Lets the one that has waited longest try. */
  private next(): void {
    // A timer may be early by a millisecond.
    if (this.opensInMs > 0) return this.tryIn(Math.ceil(this.opensInMs));
    this.waiters.wakeFirst();
  }
}
