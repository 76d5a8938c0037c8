import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Bytes of a connection that are read at once: so much of a body may come with its headers. */
const FIRST_BYTES = 64 * 1024;

/** An answer that has not left yet. */
export interface OpenAnswer {
  readonly raw: ServerResponse;
  /** Its length in bytes; undefined: it is not made yet, or is a stream. */
  length: number | undefined;
  /** When it was first seen leaving, on the clock of `performance.now()`. */
  readSince: number | undefined;
  /** Called when it has left, or never will. */
  onLeft: (() => void) | undefined;
}

/** One client's connection, and what is open on it. */
export interface Connection {
  readonly socket: Socket;
  /** One of our answers has ended it. Other requests may have come behind. */
  isEnded: boolean;
  /** The answers that have not left yet, in the order of their requests. */
  readonly answers: OpenAnswer[];
  /** Bytes that had come on it when the request began whose body is on its way; undefined: no body is. */
  arrivingFrom: number | undefined;
}

/**
 * The connections of this process, and what is open on each. Others ask it: the bounds (connection-bounds.ts), the order of requests
 * (request-order.ts), the refusals of Node's parser, the farewell.
 */
export class Connections {
  /** In order of arrival. */
  readonly open = new Set<Connection>();
  /** Connections on which no whole request waits for its answer, the one that has been so for longest first. */
  readonly idle = new Set<Connection>();
  private readonly known = new WeakMap<Socket, Connection>();

  /** It is called before anything else listens for connections. */
  watch(server: Server): void {
    server.on('connection', (socket) => this.enter(socket));
    // This runs before the framework: what that refuses at once also waits its turn.
    server.prependListener('request', (request, answer) => this.begin(request, answer));
  }

  /** A connection, also one that is closed. */
  of(socket: Socket): Connection | undefined {
    return this.known.get(socket);
  }

  /** Closes it at once. Requests on it that have not begun are not done. */
  close(connection: Connection): void {
    this.forget(connection);
    connection.socket.destroy();
  }

  private enter(socket: Socket): void {
    const connection = { socket, isEnded: false, answers: [], arrivingFrom: undefined };
    this.known.set(socket, connection);
    this.open.add(connection);
    this.idle.add(connection);
    socket.once('close', () => this.end(connection));
  }

  private begin(request: IncomingMessage, raw: ServerResponse): void {
    const connection = this.known.get(request.socket);
    if (connection === undefined || !this.open.has(connection)) return;
    const { socket, answers } = connection;
    // Nothing comes after a client's own end.
    if (!socket.writable) connection.isEnded = true;
    const before = answers.at(-1);
    if (before !== undefined) noteEnd(connection, before.raw);
    const answer = { raw, length: undefined, readSince: undefined, onLeft: undefined };
    answers.push(answer);
    raw.on('close', () => this.leave(connection, answer));
    this.idle.delete(connection);
    if (!hasBody(request)) return;
    connection.arrivingFrom = Math.max(0, socket.bytesRead - FIRST_BYTES);
    this.idle.add(connection);
    request.on('end', () => {
      connection.arrivingFrom = undefined;
      if (answers.length > 0) this.idle.delete(connection);
    });
  }

  private leave(connection: Connection, answer: OpenAnswer): void {
    const { answers } = connection;
    const at = answers.indexOf(answer);
    if (at < 0) return;
    answers.splice(at, 1);
    if (answers.length === 0 && this.open.has(connection)) {
      connection.arrivingFrom = undefined;
      // Back to the end of the order.
      this.idle.delete(connection);
      this.idle.add(connection);
    }
    answer.onLeft?.();
  }

  private end(connection: Connection): void {
    this.forget(connection);
    // Node does not report that an answer cannot leave if it waits behind another.
    for (const { onLeft } of connection.answers.splice(0)) onLeft?.();
  }

  private forget(connection: Connection): void {
    this.open.delete(connection);
    this.idle.delete(connection);
  }
}

/** Finds out whether an answer ends its connection, for those behind it: Node decides that when the answer is finished. */
function noteEnd(connection: Connection, answer: ServerResponse): void {
  const { socket } = connection;
  let wasOpen = false;
  answer.prependListener('finish', () => (wasOpen = socket.writable));
  answer.on('finish', () => (connection.isEnded ||= wasOpen && !socket.writable));
}

/** Whether something follows a request's headers (RFC 9112, section 6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
