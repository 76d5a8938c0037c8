import type { ServerResponse } from 'node:http';
import { Logger } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import { logLine } from '#process/log-line.js';
import type { Connection, Connections } from './connections.js';

/**
 * The limits on what connections hold. Each limit is for all connections of a process together, unless its line says otherwise. In text, a
 * byte means a UTF-16 code unit.
 */
export const BOUNDS = {
  /** Unanswered requests of one connection. No browser sends a second request before an answer, nor does our client. */
  unanswered: 50,
  /** Connections that are accepted beyond the limit: they are refused with an answer, and probes are answered. */
  spare: 50,
  /** Answers that clients have not read yet, in bytes. */
  unreadBytes: 64 * 1024 * 1024,
  /** Bodies that have not arrived completely, in bytes. */
  arrivingBytes: 32 * 1024 * 1024,
  /**
   * How long a client may take to read an answer, in milliseconds, and how many of its bytes allow one more millisecond: 32 KiB a second.
   */
  readingMs: 30_000,
  bytesPerMs: 32,
  /** A connection whose answer is still being read after this time, in milliseconds, may be closed to make room for others. */
  slowMs: 5_000,
  /** How often the limits are checked, in milliseconds. */
  checkMs: 1_000,
};

/** For an answer of this size or more, in bytes, the unread bytes are checked first. */
const LARGE_BYTES = 64 * 1024;

/** The log reports closed connections at most this often, in milliseconds. */
const REPORT_MS = 10_000;

const RETRY_AFTER_SECONDS = '5';

/**
 * Limits what the connections of this process hold. When a limit is reached, the connection that has been of no use for longest is closed:
 * an idle one, one whose body does not arrive, or one whose answer is not read. So such connections never make the process refuse new
 * clients. Requests that wait or stream are not closed: they need a token.
 */
export class ConnectionBounds {
  /** Connections that were opened when the limit was reached. */
  private readonly spare = new WeakSet<Connection>();
  /** Connections whose answer was being read slowly at the last check. */
  private slow: Connection[] = [];
  /** Unread bytes at the last check, and the bytes of all large answers since. */
  private unread = 0;
  private readonly logger = new Logger('connections');
  private readonly closed = new Map<string, number>();
  private reportedAt = -Infinity;

  /** @param most how many connections there may be. Construct this before adding any hook that may refuse a request, or wait */
  constructor(
    fastify: FastifyInstance,
    private readonly connections: Connections,
    private readonly most: number,
    private readonly bounds = BOUNDS,
  ) {
    const { server } = fastify;
    server.on('connection', (socket) => this.enter(connections.of(socket)));
    const checking = setInterval(() => this.check(performance.now()), bounds.checkMs).unref();
    server.once('close', () => clearInterval(checking));
    // An answer that waits behind another on its connection has no socket yet, but its request has.
    fastify.addHook('onRequest', ({ raw, url }, reply, done) => {
      const connection = connections.of(raw.socket);
      if (connection === undefined || !this.takes(connection)) return void reply.hijack();
      if (this.spare.has(connection)) this.assertRoom(connection, url, reply.raw);
      done();
    });
    fastify.addHook('onSend', ({ raw }, reply, payload, done) => {
      const length =
        typeof payload === 'string' || Buffer.isBuffer(payload)
          ? payload.length
          : Number(reply.getHeader('content-length') ?? 0);
      const answer = connections.of(raw.socket)?.answers.find((open) => open.raw === reply.raw);
      if (answer !== undefined) answer.length = length;
      if (length >= LARGE_BYTES) this.makeRoom(length);
      done(null, payload);
    });
  }

  private enter(connection: Connection | undefined): void {
    const { open, idle } = this.connections;
    if (connection === undefined || open.size <= this.most) return;
    const [first] = idle;
    const longest = first === connection ? this.slow.shift() : first;
    if (longest !== undefined) this.close(longest, 'idle or slow, to make room');
    else if (open.size > this.most + this.bounds.spare) return this.close(connection, 'too many');
    if (open.size > this.most) this.spare.add(connection);
  }

  /**
   * Whether a new request on the connection gets an answer. A request beyond the limit ends the connection, and later requests on it are
   * dropped.
   */
  private takes(connection: Connection): boolean {
    if (connection.answers.length > this.bounds.unanswered) this.close(connection, 'too many requests at once');
    return this.connections.open.has(connection);
  }

  /**
   * Refuses requests on a connection beyond the limit, except probes: an orchestrator restarts a process whose probe fails. @throws
   * ServiceError `unavailable`
   */
  private assertRoom(connection: Connection, url: string, answer: ServerResponse): void {
    if (this.connections.open.size <= this.most) return void this.spare.delete(connection);
    answer.setHeader('connection', 'close');
    if (url.startsWith('/health/')) return;
    throw new ServiceError('unavailable', 'The service has more connections than it can take. Please try later.', {
      headers: { 'retry-after': RETRY_AFTER_SECONDS },
    });
  }

  /** Makes room for an answer before it is written: many large answers at the same moment could use up the memory. */
  private makeRoom(bytes: number): void {
    this.unread += bytes;
    if (this.unread > this.bounds.unreadBytes) this.unread = bytes + this.keepUnread(this.bounds.unreadBytes - bytes);
  }

  private check(now: number): void {
    this.slow = [];
    for (const connection of this.connections.open) this.checkReader(connection, now);
    this.unread = this.keepUnread(this.bounds.unreadBytes);
    this.keepArriving();
    this.report(now);
  }

  private checkReader(connection: Connection, now: number): void {
    const [answer] = connection.answers;
    if (answer?.length === undefined || !answer.raw.headersSent) return;
    const ms = now - (answer.readSince ??= now);
    const { readingMs, bytesPerMs, slowMs } = this.bounds;
    if (ms > readingMs + answer.length / bytesPerMs)
      this.close(connection, 'the client did not read an answer in time');
    else if (ms > slowMs) this.slow.push(connection);
  }

  /** Closes the connections with the most unread bytes until all together have at most `most`. @returns the unread bytes that are left */
  private keepUnread(most: number): number {
    const held: { connection: Connection; bytes: number }[] = [];
    let sum = 0;
    for (const connection of this.connections.open) {
      let bytes = connection.socket.writableLength;
      for (const { raw } of connection.answers) if (raw.socket === null) bytes += raw.writableLength;
      if (bytes === 0) continue;
      sum += bytes;
      held.push({ connection, bytes });
    }
    if (sum <= most) return sum;
    held.sort((a, b) => b.bytes - a.bytes);
    for (const { connection, bytes } of held) {
      if (sum <= most) break;
      sum -= bytes;
      this.close(connection, 'most unread data, to make room');
    }
    return sum;
  }

  /** Closes the connections whose bodies have been arriving for longest, until all bodies together are within the limit. */
  private keepArriving(): void {
    const { open, idle } = this.connections;
    const arriving = ({ socket, arrivingFrom = socket.bytesRead }: Connection): number =>
      socket.bytesRead - arrivingFrom;
    let sum = [...open].reduce((bytes, connection) => bytes + arriving(connection), 0);
    for (const connection of idle) {
      if (sum <= this.bounds.arrivingBytes) return;
      const bytes = arriving(connection);
      sum -= bytes;
      if (bytes > 0) this.close(connection, 'slow body, to make room');
    }
  }

  private close(connection: Connection, why: string): void {
    if (!this.connections.open.has(connection)) return;
    this.closed.set(why, (this.closed.get(why) ?? 0) + 1);
    this.connections.close(connection);
  }

  /** Logs closed connections at most once per {@link REPORT_MS}, even in a flood. */
  private report(now: number): void {
    if (this.closed.size === 0 || now < this.reportedAt + REPORT_MS) return;
    this.reportedAt = now;
    for (const [why, count] of this.closed) this.logger.warn(logLine(`closed connections: ${why}`, { count }));
    this.closed.clear();
  }
}
