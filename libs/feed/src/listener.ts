import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { SessionClient } from '#database/session-client.js';
import { inBrief } from '#process/described-error.js';
import { within } from '#process/within.js';

const RECONNECT_MS = 250;
const LONGEST_RECONNECT_MS = 5_000;

/**
 * How often the connection is tried, and how long its answer may take, in milliseconds: one that is only half there would
 * hear nothing for hours.
 */
const CHECK_MS = 10_000;
const CONNECT_TIMEOUT_MS = 8_000;
const CHECK_TIMEOUT_MS = 5_000;

interface Channel {
  /** A notice came. */
  heard(payload: string): void;
  /** Notices may have been missed: the connection was down. */
  missed(): void;
}

/**
 * The one connection of a process that listens to PostgreSQL's notices, and on which it sends its own: however many
 * clients follow something, they share it.
 */
@Injectable()
export class Listener implements OnApplicationShutdown {
  private readonly logger = new Logger(Listener.name);
  private readonly channels = new Map<string, Channel>();
  private client: SessionClient | undefined;
  private retry: NodeJS.Timeout | undefined;
  private check: NodeJS.Timeout | undefined;
  private stopped = false;
  private last: Promise<boolean> = Promise.resolve(true);

  constructor(
    private readonly databaseUrl: string,
    private readonly applicationName: string,
  ) {}

  /** Names a channel to listen to; to be called before `start`. */
  on(name: string, channel: Channel): void {
    this.channels.set(name, channel);
  }

  /** Begins to listen; resolves once the first connection stands, rejects when it cannot be made. */
  async start(): Promise<void> {
    await this.connect();
    this.check = setInterval(() => void this.checkConnection(), CHECK_MS);
  }

  /**
   * Sends notices, in order. They are hints: while the connection is down they are dropped.
   * @returns whether they were sent
   */
  async notify(channel: string, payloads: readonly string[]): Promise<boolean> {
    const { client } = this;
    if (client === undefined) return false;
    return this.inTurn(() =>
      client.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [channel, payloads]),
    );
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.retry);
    clearInterval(this.check);
    await this.client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new SessionClient({
      connectionString: this.databaseUrl,
      application_name: this.applicationName,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    });
    client.on('notification', ({ channel, payload }) => this.channels.get(channel)?.heard(payload ?? ''));
    client.on('error', (error) => this.logger.warn(`lost the connection that listens: ${inBrief(error)}`));
    client.once('end', () => {
      if (this.client !== client) return;
      this.client = undefined;
      this.reconnect(RECONNECT_MS);
    });
    const listening = async (): Promise<true> => {
      await client.connect();
      for (const name of this.channels.keys()) await client.query(`LISTEN ${name}`);
      return true;
    };
    try {
      // The time-out of pg ends with the log-in.
      if (!(await within(CONNECT_TIMEOUT_MS, listening(), false))) throw new Error('PostgreSQL has fallen silent');
    } catch (error) {
      client.removeAllListeners('notification');
      client.end().catch(() => undefined); // it may never end
      throw error;
    }
    this.client = client;
    for (const channel of this.channels.values()) channel.missed();
  }

  private reconnect(delayMs: number): void {
    if (this.stopped) return;
    this.retry = setTimeout(() => {
      this.connect().catch(() => this.reconnect(Math.min(delayMs * 2, LONGEST_RECONNECT_MS)));
    }, delayMs);
  }

  /** Gives up a connection that no longer answers; a new one is made. */
  private async checkConnection(): Promise<void> {
    const { client } = this;
    if (client === undefined) return;
    const late = setTimeout(() => {
      this.logger.warn('the connection that listens does not answer; another is made');
      this.client = undefined;
      this.last = Promise.resolve(false);
      client.removeAllListeners('notification');
      // It may never end: nobody waits for it.
      client.end().catch(() => undefined);
      this.reconnect(0);
    }, CHECK_TIMEOUT_MS);
    await this.inTurn(() => client.query('SELECT 1'));
    clearTimeout(late);
  }

  /** One query after the other: a client of pg has one at a time. @returns whether it succeeded */
  private inTurn(query: () => Promise<unknown>): Promise<boolean> {
    const done = this.last.then(query).then(
      () => true,
      () => false, // the connection is lost: its own events tell
    );
    this.last = done;
    return done;
  }
}
