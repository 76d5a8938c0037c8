import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import type { JobStatus } from '#database/entities/job.entity.js';
import { JOB_CHANNEL } from '#jobs/states.js';

/** Told of every change of one job's state; `undefined` says "look for yourself, a notice may have been missed". */
export type JobListener = (status: JobStatus | undefined) => void;

const RECONNECT_MS = 250;
const LONGEST_RECONNECT_MS = 5_000;

/**
 * Changes of jobs, live. One connection per process listens for all of them, so that a waiting client costs an entry
 * in a map and no query.
 *
 * Notices are hints: while the connection is down they are lost, so each time it comes back every listener is told
 * to look.
 */
@Injectable()
export class JobFeed implements OnApplicationShutdown {
  private readonly logger = new Logger(JobFeed.name);
  private readonly listeners = new Map<string, Set<JobListener>>();
  private client: pg.Client | undefined;
  private retry: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly databaseUrl: string,
    private readonly applicationName: string,
  ) {}

  /** Begins to listen; resolves once the first connection stands, rejects when it cannot be made. */
  async start(): Promise<void> {
    await this.connect();
  }

  /** Calls `listener` on each change of the job until the returned function is called. */
  follow(jobId: string, listener: JobListener): () => void {
    const set = this.listeners.get(jobId) ?? new Set();
    this.listeners.set(jobId, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0) this.listeners.delete(jobId);
    };
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.retry);
    await this.client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.databaseUrl,
      application_name: this.applicationName,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    });
    client.on('notification', ({ payload }) => this.heard(payload ?? ''));
    client.on('error', (error) => this.logger.warn(`lost the connection that listens for jobs: ${error.message}`));
    client.once('end', () => {
      if (this.client === client) this.reconnect(RECONNECT_MS);
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${JOB_CHANNEL}`);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    this.client = client;
    for (const set of this.listeners.values()) for (const listener of [...set]) listener(undefined);
  }

  private reconnect(delayMs: number): void {
    if (this.stopped) return;
    this.retry = setTimeout(() => {
      this.connect().catch(() => this.reconnect(Math.min(delayMs * 2, LONGEST_RECONNECT_MS)));
    }, delayMs);
  }

  private heard(payload: string): void {
    const [jobId = '', status] = payload.split(' ');
    for (const listener of [...(this.listeners.get(jobId) ?? [])]) listener(status as JobStatus);
  }
}
