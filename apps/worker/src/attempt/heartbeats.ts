import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { isStoreAway } from '#errors/store-away.js';
import { type Beat, extend, type Extended } from '#jobs/extend.js';
import { HEARTBEAT_MS } from '#jobs/timings.js';
import { within } from '#process/within.js';
import type { Draft } from './draft.js';

/** How often is looked which heartbeats are due, in milliseconds: those of one look go together. */
const LOOK_MS = 250;

/** How soon a heartbeat that failed is tried again, in milliseconds. */
const AGAIN_MS = 500;

/**
 * How long one is waited for before it is tried again, on another connection, in milliseconds: twice within a lease, and well before a
 * connection on which nothing comes is given up. Should both be carried out, nothing is written twice.
 */
const LONGEST_BEAT_MS = 4_000;

/** Most attempts, and most text, in UTF-16 code units, of one statement; one attempt's text goes whole, however long it is. */
const MOST_AT_ONCE = 100;
const MOST_TEXT = 512 * 1024;

/** One attempt whose lease is kept. */
interface Kept {
  readonly draft: Draft;
  /** Told when the attempt is no longer the job's. */
  readonly lost: () => void;
  due: number;
  /** The heartbeat under way. */
  writing: Promise<void> | undefined;
  /** It was in a statement that failed, and not because the database was away: it goes by itself, so that it takes no other along. */
  alone: boolean;
}

/**
 * The heartbeats of all attempts of this process: extends their leases and writes down their drafts. Those that are due go together,
 * in one statement; a thousand attempts with a statement each would leave no connection to anybody else.
 *
 * They have connections of their own: whatever waits for one of the pool's, a thousand claims at once for instance, no lease runs out
 * for it.
 */
@Injectable()
export class Heartbeats implements OnApplicationShutdown {
  private readonly kept = new Set<Kept>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly source: DataSource) {}

  /**
   * Keeps the lease of the draft's attempt, from now on until `stop`; `lost` is called when the attempt is no longer the job's.
   */
  keep(draft: Draft, lost: () => void): { beat: () => void; stop: () => Promise<void> } {
    const one: Kept = { draft, lost, due: performance.now() + HEARTBEAT_MS, writing: undefined, alone: false };
    this.kept.add(one);
    this.timer ??= setInterval(() => this.look(), LOOK_MS);
    return {
      /** Something may have been missed: whether the attempt is still the job's is found out now. */
      beat: () => (one.due = 0),
      /** Waits for a heartbeat under way. */
      stop: async () => {
        this.kept.delete(one);
        if (this.kept.size === 0) {
          clearInterval(this.timer);
          this.timer = undefined;
        }
        await one.writing;
      },
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await this.source.destroy();
  }

  private look(): void {
    const now = performance.now();
    let batch: { one: Kept; beat: Beat; written: () => void }[] = [];
    let text = 0;
    const send = (): void => {
      if (batch.length > 0) this.write(batch);
      batch = [];
      text = 0;
    };
    for (const one of this.kept) {
      if (one.writing !== undefined || one.due > now) continue;
      const { beat, written } = one.draft.unsaved();
      if (one.alone) {
        this.write([{ one, beat, written }]);
        continue;
      }
      if (batch.length === MOST_AT_ONCE || text + beat.text.length > MOST_TEXT) send();
      batch.push({ one, beat, written });
      text += beat.text.length;
    }
    send();
  }

  private write(batch: readonly { one: Kept; beat: Beat; written: () => void }[]): void {
    const writing = this.extend(batch.map(({ beat }) => beat)).then((came) => {
      const now = performance.now();
      for (const [n, { one, written }] of batch.entries()) {
        const to = came[n];
        one.writing = undefined;
        one.alone = to === 'failed';
        one.due = now + (to === 'extended' ? HEARTBEAT_MS : AGAIN_MS);
        if (to === 'extended') written();
        if (to === 'lost') one.lost();
      }
    });
    for (const { one } of batch) one.writing = writing;
  }

  /** Never rejects. `away`: the database is, and leases run on; the first moment it is back counts. */
  private async extend(beats: readonly Beat[]): Promise<(Extended | 'away' | 'failed')[]> {
    const all = (what: 'away' | 'failed') => beats.map(() => what);
    try {
      return await within<(Extended | 'away' | 'failed')[]>(
        LONGEST_BEAT_MS,
        extend(this.source.manager, beats),
        all('away'),
      );
    } catch (error) {
      return all(isStoreAway(error) ? 'away' : 'failed');
    }
  }
}
