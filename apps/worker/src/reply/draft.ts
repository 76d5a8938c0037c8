import type { EntityManager } from 'typeorm';
import { HEARTBEAT_MS } from '#jobs/timings.js';
import { type ClaimedJob, extend } from '#jobs/transitions.js';

/** The text of a running attempt, checkpointed with each heartbeat. */
export class Draft {
  private pending = '';
  private readonly timer: NodeJS.Timeout;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly manager: EntityManager,
    private readonly job: ClaimedJob,
    private readonly lost: () => void,
  ) {
    this.timer = setInterval(() => {
      this.writing = this.writing.then(() => this.write());
    }, HEARTBEAT_MS);
  }

  add(text: string): void {
    this.pending += text;
  }

  /** Ends the heartbeat and waits for one under way. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.writing;
  }

  private async write(): Promise<void> {
    const text = wholeCharacters(this.pending).toWellFormed();
    try {
      const held = await extend(this.manager, this.job.id, this.job.attempt, text);
      if (held) this.pending = this.pending.slice(text.length);
      else this.lost();
    } catch {
      // The database is away: the lease runs on, and the next beat may find it back.
    }
  }
}

const FIRST_HALF_AT_END = /[\uD800-\uDBFF]$/;

/** A text without the half of a surrogate pair at its end: the pieces of a reply may split one. */
export function wholeCharacters(text: string): string {
  return text.replace(FIRST_HALF_AT_END, '');
}
