import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { newId } from '#database/ids.js';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import type { Settings } from '#settings/settings.js';
import { Limits } from './limits.js';

/** How often this process reports that it holds streams, in milliseconds, and how long a report holds, in seconds. */
const BEAT_MS = 10_000;
const ALIVE_SECONDS = 30;

/** One statement removes all streams that close within this time, in milliseconds. */
const GATHER_MS = 50;

/** How long the removal of all streams of this process may take when it stops, in milliseconds. */
const FAREWELL_MS = 1_000;

const RETRY_AFTER_SECONDS = 1;

/** A user's stream slot. */
export interface StreamSlot {
  /** Gives the slot back; a second call does nothing. */
  leave(): void;
}

const FREE: StreamSlot = { leave: () => undefined };

const OPEN = `SELECT open_stream($1, $2, $3) AS opened`;

const CLOSE = `SELECT close_streams($1, $2, $3)`;

const BEAT = `
  INSERT INTO stream_holders (process, alive_until) VALUES ($1, now() + interval '${ALIVE_SECONDS} seconds')
  ON CONFLICT (process) DO UPDATE SET alive_until = excluded.alive_until
  RETURNING xmax = 0 AS fresh`;

const SWEEP = `
  WITH dead AS (DELETE FROM stream_holders WHERE alive_until < now() - interval '1 minute' RETURNING process)
  DELETE FROM open_streams s
   WHERE s.process IN (SELECT process FROM dead) OR NOT EXISTS (SELECT FROM stream_holders h WHERE h.process = s.process)`;

const RESTORE = `
  INSERT INTO open_streams (user_id, process, streams)
  SELECT user_id, $1, streams FROM unnest($2::text[], $3::int[]) AS s (user_id, streams)
  ON CONFLICT (user_id, process) DO UPDATE SET streams = excluded.streams`;

const FORGET = `
  WITH holder AS (DELETE FROM stream_holders WHERE process = $1)
  DELETE FROM open_streams WHERE process = $1`;

/**
 * Counts each user's open streams, over all processes. The count is in PostgreSQL, in unlogged tables, which a crash may empty. Streams of
 * a dead process count for half a minute more. A process without streams reports nothing.
 */
@Injectable()
export class OpenStreams implements BeforeApplicationShutdown {
  private readonly logger = new Logger(OpenStreams.name);
  private readonly process = newId();
  /** This process's streams, by user. */
  private readonly open = new Map<string, number>();
  /** Closed streams that still count, and those that are being removed. */
  private readonly closed = new Map<string, number>();
  private closing = new Map<string, number>();
  private writing: Promise<void> | undefined;
  private beatAt = -Infinity;
  /** Whether the tables have all streams of this process. */
  private written = true;
  private beating: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly manager: EntityManager,
    private readonly limits: Limits,
    private readonly settings: Settings['limits'],
  ) {}

  /** Takes a slot for one more stream of the user. @throws ServiceError `rate_limited` */
  async enter(userId: string): Promise<StreamSlot> {
    const most = this.settings.openStreams;
    if (most === undefined) return FREE;
    if (performance.now() - this.beatAt > BEAT_MS) await this.beat();
    if (!this.takeOver(userId)) await this.take(userId, most);
    this.open.set(userId, (this.open.get(userId) ?? 0) + 1);
    this.timer ??= setInterval(() => void this.keep(), BEAT_MS / 2).unref();
    let left = false;
    return {
      leave: () => {
        if (left) return;
        left = true;
        this.leave(userId);
      },
    };
  }

  /** Takes over the slot of a stream that was just closed and still counts, as when a user sends the next turn. */
  private takeOver(userId: string): boolean {
    const left = this.closed.get(userId) ?? 0;
    if (left > 1) this.closed.set(userId, left - 1);
    else this.closed.delete(userId);
    return left > 0;
  }

  private async take(userId: string, most: number): Promise<void> {
    if (this.closing.has(userId)) await this.writing;
    const [row] = await this.manager.query<{ opened: boolean }[]>(OPEN, [userId, this.process, most]);
    if (row?.opened === true) return;
    throw this.limits.reached({ limit: 'streams', retryAfterSeconds: RETRY_AFTER_SECONDS });
  }

  private leave(userId: string): void {
    const rest = (this.open.get(userId) ?? 1) - 1;
    if (rest > 0) this.open.set(userId, rest);
    else this.open.delete(userId);
    this.close(userId, 1);
    void this.writeOff();
  }

  private close(userId: string, count: number): void {
    this.closed.set(userId, (this.closed.get(userId) ?? 0) + count);
  }

  private writeOff(): Promise<void> {
    this.writing ??= this.writeClosed().finally(() => (this.writing = undefined));
    return this.writing;
  }

  /** Removes the closed streams from the tables. If the database is away, a later report removes them. */
  private async writeClosed(): Promise<void> {
    await sleep(GATHER_MS);
    while (this.closed.size > 0) {
      this.closing = new Map(this.closed);
      this.closed.clear();
      try {
        await this.manager.query(CLOSE, [[...this.closing.keys()], [...this.closing.values()], this.process]);
      } catch {
        for (const [userId, count] of this.closing) this.close(userId, count);
        return;
      } finally {
        this.closing = new Map();
      }
    }
  }

  /** Reports that this process is alive, if it holds streams. */
  private async keep(): Promise<void> {
    if (this.open.size === 0 && this.closed.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
      return;
    }
    if (this.written && performance.now() - this.beatAt < BEAT_MS) return;
    await this.beat().catch((error: unknown) => {
      this.logger.warn(logLine('cannot record the open streams', {}, error));
    });
    if (this.closed.size > 0) await this.writeOff();
  }

  private beat(): Promise<void> {
    this.beating ??= this.write().finally(() => (this.beating = undefined));
    return this.beating;
  }

  private async write(): Promise<void> {
    const [row] = await this.manager.query<{ fresh: boolean }[]>(BEAT, [this.process]);
    this.beatAt = performance.now();
    // The streams are written the first time, and again if the tables were emptied or this process counted as dead.
    if (row?.fresh === true) this.written = false;
    if (this.written) return;
    await this.manager.query(SWEEP);
    this.closed.clear();
    this.closing.clear();
    if (this.open.size > 0) {
      await this.manager.query(RESTORE, [this.process, [...this.open.keys()], [...this.open.values()]]);
    }
    this.written = true;
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    if (this.beatAt === -Infinity) return;
    const forgotten = this.manager.query(FORGET, [this.process]).catch(() => undefined);
    await within(FAREWELL_MS, forgotten, undefined);
  }
}
