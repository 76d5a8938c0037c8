import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import { line } from '#process/log-line.js';

/** What connections may hold; all of a process together where nothing else is said. Of text, a byte is a UTF-16 code unit. */
export const BOUNDS = {
  /** Requests of one connection that are not answered yet. No browser sends a second one before that, and no client of ours. */
  unanswered: 50,
  /** Connections beyond the most there may be: so many are let in to be told so, and to ask how the process is. */
  spare: 50,
  /** Answers that are made and not read, in bytes. */
  unreadBytes: 64 * 1024 * 1024,
  /** Bodies on their way in, in bytes. */
  arrivingBytes: 32 * 1024 * 1024,
  /** Time to read an answer in, in milliseconds, and how many of its bytes give a millisecond more: 32 KiB a second. */
  readingMs: 30_000,
  bytesPerMs: 32,
  /** From then on whoever reads an answer makes room for others who come, in milliseconds. */
  slowMs: 5_000,
  /** How often all of this is looked at, in milliseconds. */
  lookMs: 1_000,
};

/** An answer so large that it is asked whether there is room for it, in bytes. */
const LARGE_BYTES = 64 * 1024;

/** Bytes of a connection that are read at once, so what may have come of a body with its headers. */
const FIRST_BYTES = 64 * 1024;

/** How often it is said at most that connections were closed, in milliseconds. */
const SAY_MS = 10_000;

const RETRY_AFTER_SECONDS = '5';

/** One client's connection. */
interface Connection {
  /** It came when there were as many as there may be. */
  spare: boolean;
  /** The answers that have not left yet, in the order of their requests. */
  readonly answers: Set<ServerResponse>;
  /** Bytes that had come on it when the request began whose body is on its way; undefined: there is none. */
  arrivingFrom: number | undefined;
  /** The answer that is being read, and since when. */
  reading: { readonly answer: ServerResponse; readonly since: number } | undefined;
}

/**
 * The connections of this process, and what they may hold. Where something runs short, room is made by whoever has held it longest
 * with least to show for it: a connection on which nothing is asked, a body that does not come, an answer that is not read. So
 * nobody has to be refused because of those, however many they are. What is left needs a token: who waits, and who follows.
 */
export class Connections {
  /** In the order they came. */
  private readonly open = new Map<Socket, Connection>();
  /** Those on which no whole request waits for its answer; the one of which that is so for longest is first. */
  private readonly idle = new Set<Socket>();
  /** Those whose answer is read slowly, as was seen at the last look. */
  private slow: Socket[] = [];
  /** How long answers are; of streams it is not known. */
  private readonly lengths = new WeakMap<ServerResponse, number>();
  /** Bytes that were not read when it was looked at last, and of all large answers since. */
  private unread = 0;
  private readonly logger = new Logger('connections');
  private readonly closed = new Map<string, number>();
  private saidAt = -Infinity;

  /** `most`: how many there may be. To be made before any hook that may refuse a request. */
  constructor(
    fastify: FastifyInstance,
    private readonly most: number,
    private readonly bounds = BOUNDS,
  ) {
    const { server } = fastify;
    server.on('connection', (socket) => this.enter(socket));
    const looking = setInterval(() => this.look(performance.now()), bounds.lookMs).unref();
    server.once('close', () => clearInterval(looking));
    // An answer that waits behind another on its connection has no socket yet; its request has.
    fastify.addHook('onRequest', async ({ raw, url }, reply) => {
      if (!this.takes(raw, reply.raw)) return void reply.hijack();
      this.assertRoom(raw.socket, url, reply.raw);
    });
    fastify.addHook('onSend', (_request, reply, payload, done) => {
      const length =
        typeof payload === 'string' || Buffer.isBuffer(payload)
          ? payload.length
          : Number(reply.getHeader('content-length') ?? 0);
      this.lengths.set(reply.raw, length);
      if (length >= LARGE_BYTES) this.makeRoom(length);
      done(null, payload);
    });
  }

  /** Each connection, with its answers that have not left yet. */
  *all(): Generator<[Socket, ReadonlySet<ServerResponse>]> {
    for (const [socket, { answers }] of this.open) yield [socket, answers];
  }

  /** The answers of one that have not left yet; undefined: it is closed. */
  answersOn(socket: Socket): ReadonlySet<ServerResponse> | undefined {
    return this.open.get(socket)?.answers;
  }

  private enter(socket: Socket): void {
    const connection = {
      spare: false,
      answers: new Set<ServerResponse>(),
      arrivingFrom: undefined,
      reading: undefined,
    };
    this.open.set(socket, connection);
    socket.once('close', () => this.forget(socket));
    if (this.open.size > this.most) {
      const [longest = this.slow.shift()] = this.idle;
      if (longest !== undefined) this.close(longest, 'idle or slow, for others');
      else if (this.open.size > this.most + this.bounds.spare) return this.close(socket, 'too many');
      connection.spare = this.open.size > this.most;
    }
    this.idle.add(socket);
  }

  /** Whether the request is to be answered. One too many on its connection ends it; what has come behind that is passed over. */
  private takes(request: IncomingMessage, answer: ServerResponse): boolean {
    const { socket } = request;
    const connection = this.open.get(socket);
    if (connection === undefined) return false;
    if (connection.answers.size >= this.bounds.unanswered) {
      this.close(socket, 'with too many requests at once');
      return false;
    }
    connection.answers.add(answer);
    this.idle.delete(socket);
    if (hasBody(request)) {
      connection.arrivingFrom = Math.max(0, socket.bytesRead - FIRST_BYTES);
      this.idle.add(socket);
      request.once('end', () => {
        connection.arrivingFrom = undefined;
        if (connection.answers.size > 0) this.idle.delete(socket);
      });
    }
    answer.once('close', () => {
      connection.answers.delete(answer);
      if (connection.answers.size > 0 || !this.open.has(socket)) return;
      connection.arrivingFrom = undefined;
      // Last in line again.
      this.idle.delete(socket);
      this.idle.add(socket);
    });
    return true;
  }

  /**
   * Refuses what comes on a connection too many, but for the question how the process is: by the answer it is decided whether the
   * process may live on.
   * @throws ServiceError `unavailable`
   */
  private assertRoom(socket: Socket, url: string, answer: ServerResponse): void {
    const connection = this.open.get(socket);
    if (connection?.spare !== true) return;
    connection.spare = this.open.size > this.most;
    if (!connection.spare) return;
    answer.setHeader('connection', 'close');
    if (url.startsWith('/health/')) return;
    throw new ServiceError('unavailable', 'The service has more connections than it can take. Please try later.', {
      headers: { 'retry-after': RETRY_AFTER_SECONDS },
    });
  }

  /** Makes room for an answer before it is handed over: those of a moment could be more than memory holds. */
  private makeRoom(bytes: number): void {
    this.unread += bytes;
    if (this.unread > this.bounds.unreadBytes) this.unread = bytes + this.keepUnread(this.bounds.unreadBytes - bytes);
  }

  private look(now: number): void {
    this.slow = [];
    const bodies: { socket: Socket; bytes: number }[] = [];
    for (const [socket, connection] of this.open) {
      this.lookAtReader(socket, connection, now);
      const { arrivingFrom } = connection;
      if (arrivingFrom !== undefined) bodies.push({ socket, bytes: socket.bytesRead - arrivingFrom });
    }
    this.unread = this.keepUnread(this.bounds.unreadBytes);
    this.keepArriving(bodies);
    this.say(now);
  }

  private lookAtReader(socket: Socket, connection: Connection, now: number): void {
    const [answer] = connection.answers;
    const length = answer?.headersSent === true ? this.lengths.get(answer) : undefined;
    if (answer === undefined || length === undefined) {
      connection.reading = undefined;
      return;
    }
    if (connection.reading?.answer !== answer) connection.reading = { answer, since: now };
    const ms = now - connection.reading.since;
    const { readingMs, bytesPerMs, slowMs } = this.bounds;
    if (ms > readingMs + length / bytesPerMs) this.close(socket, 'whose answer was not read in time');
    else if (ms > slowMs) this.slow.push(socket);
  }

  /** Closes the connections with most that is not read, until all have no more than `most` bytes. @returns how many they have */
  private keepUnread(most: number): number {
    const held: { socket: Socket; bytes: number }[] = [];
    let sum = 0;
    for (const [socket, { answers }] of this.open) {
      let bytes = socket.writableLength;
      for (const answer of answers) if (answer.socket === null) bytes += answer.writableLength;
      if (bytes === 0) continue;
      sum += bytes;
      held.push({ socket, bytes });
    }
    if (sum <= most) return sum;
    held.sort((a, b) => b.bytes - a.bytes);
    for (const { socket, bytes } of held) {
      if (sum <= most) break;
      sum -= bytes;
      this.close(socket, 'with most that was not read, for others');
    }
    return sum;
  }

  /** Ends the bodies that are on their way for longest, until all have no more bytes than they may: what is sent in haste is in. */
  private keepArriving(bodies: readonly { socket: Socket; bytes: number }[]): void {
    let sum = bodies.reduce((bytes, body) => bytes + body.bytes, 0);
    if (sum <= this.bounds.arrivingBytes) return;
    const left = new Map(bodies.map(({ socket, bytes }) => [socket, bytes]));
    for (const socket of this.idle) {
      if (sum <= this.bounds.arrivingBytes) return;
      const bytes = left.get(socket);
      if (bytes === undefined) continue;
      sum -= bytes;
      this.close(socket, 'whose body was slow to come, for others');
    }
  }

  private close(socket: Socket, why: string): void {
    this.closed.set(why, (this.closed.get(why) ?? 0) + 1);
    this.forget(socket);
    socket.destroy();
  }

  private forget(socket: Socket): void {
    this.open.delete(socket);
    this.idle.delete(socket);
  }

  /** Now and then, however many they are. */
  private say(now: number): void {
    if (this.closed.size === 0 || now < this.saidAt + SAY_MS) return;
    this.saidAt = now;
    for (const [why, count] of this.closed) this.logger.warn(line(`connections were closed: ${why}`, { count }));
    this.closed.clear();
  }
}

/** Whether something follows a request's headers (RFC 9112, section 6.3). */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
