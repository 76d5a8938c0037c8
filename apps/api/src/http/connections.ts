import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Bytes that Node reads from a connection at once. A body may arrive up to this size together with its headers. */
const FIRST_BYTES = 64 * 1024;

/** An answer that has not left yet. */
export interface OpenAnswer {
  readonly raw: ServerResponse;
  /** Its length in bytes; undefined: it is not ready yet, or is a stream. */
  length: number | undefined;
  /** When it was first seen leaving, on the clock of `performance.now()`. */
  readSince: number | undefined;
  /** Called when the answer has left, or cannot leave any more. */
  onLeft: (() => void) | undefined;
}

/** One client's connection, and what is open on it. */
export interface Connection {
  readonly socket: Socket;
  /** One of our answers has ended the connection. Other requests may have followed. */
  isEnded: boolean;
  /** The answers that have not left yet, in the order of their requests. */
  readonly answers: OpenAnswer[];
  /** How many bytes the connection had received when the request began whose body is still arriving; undefined: no body is arriving. */
  arrivingFrom: number | undefined;
}

/**
 * The connections of this process, and what is open on each. The limits (connection-bounds.ts), the order of requests (request-order.ts),
 * the refusals of Node's parser (raw-errors.ts) and the farewell (farewell.ts) use it.
 */
export class Connections {
  /** In order of arrival. */
  readonly open = new Set<Connection>();
  /** Connections on which no complete request waits for its answer, the longest idle first. */
  readonly idle = new Set<Connection>();
  private readonly known = new WeakMap<Socket, Connection>();

  /** Call this before anything else listens for connections. */
  watch(server: Server): void {
    server.on('connection', (socket) => this.enter(socket));
    // This runs before the framework: an immediate refusal of the framework also waits its turn.
    server.prependListener('request', (request, answer) => this.begin(request, answer));
  }

  /** The connection of a socket, even if it is closed. */
  of(socket: Socket): Connection | undefined {
    return this.known.get(socket);
  }

  /** Closes a connection at once. Its requests that have not begun are dropped. */
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
    // No request follows after the client has ended the connection.
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
    // For an answer that waits behind another, Node does not report that it cannot leave.
    for (const { onLeft } of connection.answers.splice(0)) onLeft?.();
  }

  private forget(connection: Connection): void {
    this.open.delete(connection);
    this.idle.delete(connection);
  }
}

/** Notes whether an answer ends its connection, for the requests behind it. Node decides that when the answer is finished. */
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
