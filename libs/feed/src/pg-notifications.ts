import { randomBytes } from 'node:crypto';
import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { onlyReads, ReadOnlyServerError } from '#database/read-only.js';
import { SessionClient } from '#database/session-client.js';
import { leaveSessions, onSwitchover } from '#database/sessions.js';
import { startFault } from '#database/unreachable.js';
import { inBrief } from '#process/described-error.js';
import { StartFault } from '#errors/start-fault.js';
import { within } from '#process/within.js';

const RECONNECT_MS = 250;
const LONGEST_RECONNECT_MS = 5_000;

const CONNECT_TIMEOUT_MS = 8_000;

/** Times, in milliseconds. */
export interface NotificationTimings {
  /** How often the connection asks its server whether it takes writes. A half-open connection would otherwise receive nothing for hours. */
  readonly check: number;
  /** How often this process sends itself a notice through its pool. */
  readonly echo: number;
  /** How long the answer or that notice may take. */
  readonly answer: number;
}

const TIMINGS: NotificationTimings = { check: 5_000, echo: 30_000, answer: 5_000 };

/** The pool, in whose sessions this process writes. */
export interface Writer {
  query(statement: string, values: unknown[]): Promise<unknown>;
}

/** Thrown at start when notices do not come through. */
class DeafError extends StartFault {
  constructor() {
    super(
      'DATABASE_URL leads to something that does not pass notices on (LISTEN): waiting requests and streams would hang. Give the ' +
        'address of PostgreSQL itself, or of a pooler in session mode.',
    );
  }
}

interface Channel {
  /** A notice came. */
  received(payload: string): void;
  /** Notices may have been missed: the connection was down. */
  missed(): void;
}

/**
 * Notices of PostgreSQL (LISTEN and NOTIFY). A process has one connection on which it receives notices and sends its own. All subscribers
 * of the process share it.
 *
 * The connection must lead to the primary, which a switchover changes. So the process gives it up when its server only reads, or when it
 * does not receive a notice that the process sends through its pool, whose sessions are short-lived.
 */
@Injectable()
export class PgNotifications implements OnApplicationShutdown {
  private readonly logger = new Logger(PgNotifications.name);
  private readonly channels = new Map<string, Channel>();
  private client: SessionClient | undefined;
  private retry: NodeJS.Timeout | undefined;
  private check: NodeJS.Timeout | undefined;
  private echo: NodeJS.Timeout | undefined;
  private readonly stopAttending: () => void;
  /** The channel for notices that this process sends to itself. */
  private readonly ownChannel = `rejoinder_own_${randomBytes(8).toString('hex')}`;
  private receivedOwn: (() => void) | undefined;
  /** Whether the last server proved not to be the primary, and no connection to the primary has been made since. */
  private strayed = false;
  private stopped = false;
  private last: Promise<boolean> = Promise.resolve(true);

  constructor(
    private readonly databaseUrl: string,
    private readonly applicationName: string,
    private readonly timings = TIMINGS,
  ) {
    this.on(this.ownChannel, { received: () => this.receivedOwn?.(), missed: () => undefined });
    // Another connection may notice the switchover first.
    this.stopAttending = onSwitchover(() => {
      if (!this.strayed) void this.checkConnection();
    });
  }

  /** Names a channel to listen to. Call it before `start`. */
  on(name: string, channel: Channel): void {
    this.channels.set(name, channel);
  }

  /**
   * Begins to listen; resolves once the first connection stands and receives what this process sends.
   * @throws StartFault
   */
  async start(writer: Writer): Promise<void> {
    try {
      await this.connect();
      if (!(await this.receivesOwn(writer))) throw new DeafError();
    } catch (cause) {
      throw startFault(this.databaseUrl, cause);
    }
    this.check = setInterval(() => void this.checkConnection(), this.timings.check);
    this.echo = setInterval(() => void this.checkEcho(writer), this.timings.echo);
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
    clearInterval(this.echo);
    this.stopAttending();
    await this.client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new SessionClient({
      connectionString: this.databaseUrl,
      application_name: this.applicationName,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    });
    client.on('notification', ({ channel, payload }) => this.channels.get(channel)?.received(payload ?? ''));
    client.on('error', (error) => this.logger.warn(`lost the listening connection: ${inBrief(error)}`));
    client.once('end', () => {
      if (this.client !== client) return;
      this.client = undefined;
      this.reconnect(RECONNECT_MS);
    });
    const listening = async (): Promise<true> => {
      await client.connect();
      // A standby would not let us listen.
      if (await onlyReads(client)) throw new ReadOnlyServerError();
      for (const name of this.channels.keys()) await client.query(`LISTEN ${name}`);
      return true;
    };
    try {
      // pg's own time-out covers only the log-in.
      if (!(await within(CONNECT_TIMEOUT_MS, listening(), false))) throw new Error('PostgreSQL has fallen silent');
    } catch (error) {
      client.removeAllListeners('notification');
      client.end().catch(() => undefined); // it may never end
      throw error;
    }
    this.client = client;
    if (this.strayed) {
      // Subscribers now read their rows, and must not read them on the old server: the pool may have opened sessions to it since.
      leaveSessions();
      this.strayed = false;
      this.logger.log('listens again, on the primary');
    }
    for (const channel of this.channels.values()) channel.missed();
  }

  private reconnect(delayMs: number): void {
    if (this.stopped) return;
    this.retry = setTimeout(() => {
      this.connect().catch(() => this.reconnect(Math.min(Math.max(delayMs * 2, RECONNECT_MS), LONGEST_RECONNECT_MS)));
    }, delayMs);
  }

  /** Gives up a connection that no longer answers, or whose server only reads; a new one is made. */
  private async checkConnection(): Promise<void> {
    const { client } = this;
    if (client === undefined) return;
    const late = setTimeout(() => {
      this.logger.warn('the listening connection does not answer: opening another');
      this.giveUp(client);
    }, this.timings.answer);
    let readOnly = false;
    await this.inTurn(async () => (readOnly = await onlyReads(client)));
    clearTimeout(late);
    if (readOnly)
      this.stray(client, 'the server of the listening connection is read-only now: looking for the primary');
  }

  /** Gives up a connection that does not receive a notice sent through the pool. */
  private async checkEcho(writer: Writer): Promise<void> {
    const { client } = this;
    if (client === undefined) return;
    // If the notice cannot be sent, that is a fault of the pool, not of this connection.
    if (await this.receivesOwn(writer).catch(() => true)) return;
    this.stray(client, 'the listening connection gets no notices: opening another');
  }

  /** Sends a notice through the pool. Resolves to whether the connection receives it. @throws when it cannot be sent */
  private async receivesOwn(writer: Writer): Promise<boolean> {
    const own = new Promise<boolean>((resolve) => (this.receivedOwn = () => resolve(true)));
    await writer.query('SELECT pg_notify($1, $2)', [this.ownChannel, '']);
    return within(this.timings.answer, own, false);
  }

  /** Leaves a server that is not the primary, and all sessions of this process that may lead to it. */
  private stray(client: SessionClient, words: string): void {
    if (this.client !== client || this.stopped) return;
    this.logger.warn(words);
    this.strayed = true;
    this.giveUp(client);
    leaveSessions();
  }

  private giveUp(client: SessionClient): void {
    if (this.client !== client) return;
    this.client = undefined;
    this.last = Promise.resolve(false);
    client.removeAllListeners('notification');
    // Not awaited: it may never end.
    client.end().catch(() => undefined);
    this.reconnect(0);
  }

  /** Runs one query after the other: a client of pg runs one at a time. @returns whether it succeeded */
  private inTurn(query: () => Promise<unknown>): Promise<boolean> {
    const done = this.last.then(query).then(
      () => true,
      () => false, // the connection's own events report the loss
    );
    this.last = done;
    return done;
  }
}
