import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { isStoreAway } from '#errors/store-away.js';
import { type Beat, extend, type Extended } from '#jobs/extend.js';
import { HEARTBEAT_MS } from '#jobs/timings.js';
import { within } from '#process/within.js';
import type { Draft } from './draft.js';

/** How often to check which heartbeats are due, in milliseconds. Heartbeats of one check share a statement. */
const CHECK_MS = 250;

/** How soon a failed heartbeat is tried again, in milliseconds. */
const AGAIN_MS = 500;

/**
 * How long a heartbeat may take before it is tried again on another connection, in milliseconds. The time is short enough for two tries
 * within a lease, and for a second try before a silent connection is closed. If PostgreSQL executes both tries, nothing is written twice.
 */
const LONGEST_BEAT_MS = 4_000;

/** The most attempts, and the most text in UTF-16 code units, in one statement. A longer text of a single attempt is not split. */
const MOST_AT_ONCE = 100;
const MOST_TEXT = 512 * 1024;

/** An attempt whose lease is kept. */
interface Kept {
  readonly draft: Draft;
  /** Called when another attempt holds the job. */
  readonly lost: () => void;
  due: number;
  /** The heartbeat under way. */
  writing: Promise<void> | undefined;
  /**
   * The last statement with this attempt failed although the database was available. The attempt gets its own statement, so that no other
   * attempt fails with it.
   */
  alone: boolean;
}

/**
 * Extends the leases of all attempts of this process and saves their drafts. Heartbeats that are due together share a statement: separate
 * statements for a thousand attempts would use all connections.
 *
 * Heartbeats have their own connections, so that no lease runs out while many other statements wait for the pool.
 */
@Injectable()
export class Heartbeats implements OnApplicationShutdown {
  private readonly kept = new Set<Kept>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly source: DataSource) {}

  /** Extends the lease of the draft's attempt until `stop` is called. `lost` is called when another attempt holds the job. */
  keep(draft: Draft, lost: () => void): { beat: () => void; stop: () => Promise<void> } {
    const one: Kept = { draft, lost, due: performance.now() + HEARTBEAT_MS, writing: undefined, alone: false };
    this.kept.add(one);
    this.timer ??= setInterval(() => this.check(), CHECK_MS);
    return {
      /** Sends the next heartbeat now, which shows whether the job is still this attempt's. */
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

  private check(): void {
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
      const length = beat.text.length + (beat.otherParts?.length ?? 0);
      if (batch.length === MOST_AT_ONCE || text + length > MOST_TEXT) send();
      batch.push({ one, beat, written });
      text += length;
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

  /** Never rejects. `away`: the database is away, and leases run out meanwhile, so the statement is repeated until it is back. */
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
