import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { jsonLine } from './json-line.js';
import { whenClosed } from './when-closed.js';

/**
 * A stream is cut off if its client reads nothing for this long while this many characters wait for it. A single long reply may exceed the
 * number, so the number alone is no reason.
 */
const LARGEST_BACKLOG = 1024 * 1024;
/** When this many characters wait in all streams of the process together, no stream may hold more than its share. */
const LARGEST_TOTAL = 32 * 1024 * 1024;
const LONGEST_STALL_MS = 5_000;

/** UTF-16 code units of one write. A long event is written in several parts, so that a slow client is seen to read. */
const LARGEST_PART = 64 * 1024;

/**
 * When a client reconnects, in milliseconds. The times are spread, so that the clients of a stopped process do not all come back at once.
 */
const RETRY_MS = 1_000;

/** Headers that keep proxies from holding events back or changing them. */
export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
};

/**
 * Server-sent events for one client (WHATWG HTML, section 9.2). Events wait until the answer is begun.
 *
 * Thousands of streams are idle most of the time, so the memory of an idle one matters. Therefore this is not one of Node's streams: the
 * framework would wrap it in four more, and keep all its objects for the request until the client leaves.
 */
export class EventStream {
  /** Characters that wait in all streams of this process together. */
  private static total = 0;
  private response: ServerResponse | undefined;
  /** Text that the response has not taken yet. */
  private waiting: string[] = [];
  private begun = false;
  private backlog = 0;
  private takenAt = 0;
  /** No more events are accepted; the waiting ones are still sent. */
  private over = false;
  private gone = false;
  private listeners: readonly (() => void)[] = [];

  /** The client has everything, or has left. */
  get closed(): boolean {
    return this.gone;
  }

  /** Calls `listener` once the stream is closed. */
  onceClosed(listener: () => void): void {
    // `push` would reserve room for more listeners, in each of thousands of long streams.
    this.listeners = [...this.listeners, listener];
  }

  /**
   * Begins the answer with the status and the headers set so far. From here on all writes go to Node's own response, and the framework
   * releases the request.
   */
  open(reply: FastifyReply): void {
    reply.hijack();
    const { raw: response } = reply;
    if (this.gone || response.req.socket.destroyed) {
      // The client left before there was anything to send.
      response.destroy();
      return this.close();
    }
    whenClosed(response, () => this.close());
    response.on('drain', () => this.flush());
    response.writeHead(response.statusCode, reply.getHeaders() as OutgoingHttpHeaders);
    // Node keeps the headers until the answer ends. Flushed now, they are kept as one string instead of forty.
    response.flushHeaders();
    this.response = response;
    this.flush();
  }

  /**
   * Sends one event. Its data is always one line. The id comes last: some clients note the id as soon as its line arrives
   * (@microsoft/fetch-event-source does), and one that is cut off within the event must not resume after it. The first event also carries
   * `retry`: many clients take a block without data for an event, and fail to parse it.
   */
  send(event: string, id: string, data: object): void {
    const retry = this.begun ? '' : `retry: ${Math.round(RETRY_MS * (0.5 + Math.random()))}\n`;
    this.begun = true;
    this.write(`${retry}event: ${event}\ndata: ${jsonLine(data)}\nid: ${id}\n\n`);
  }

  /**
   * Sends a beat: a comment, which clients ignore and which shows proxies that the stream is alive. The comment is a line of the next
   * block, not a block of its own. A timer calls this until the stream is closed. It also finds clients that have stopped reading.
   */
  beat(): void {
    if (this.hasStalled()) this.destroy();
    else this.write(':\n');
  }

  /** Ends the stream once all events have been written. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.flush();
  }

  /** Ends the stream at once. */
  destroy(): void {
    this.response?.destroy();
    this.close();
  }

  private close(): void {
    if (this.gone) return;
    this.gone = true;
    this.over = true;
    this.waiting = [];
    this.count(-this.backlog);
    for (const listener of this.listeners) listener();
  }

  private write(text: string): void {
    if (this.over) return;
    if (this.hasStalled()) return this.destroy();
    this.waiting.push(...inParts(text));
    this.count(text.length);
    this.flush();
  }

  /** Writes as much as the client's connection takes. `drain` continues it. */
  private flush(): void {
    const { response, waiting } = this;
    if (response === undefined || this.gone) return;
    while (!response.writableNeedDrain) {
      const text = waiting.shift();
      if (text === undefined) {
        this.waiting = [];
        if (this.over) response.end();
        return;
      }
      response.write(text);
      this.count(-text.length);
      this.takenAt = Date.now();
    }
  }

  private count(characters: number): void {
    this.backlog += characters;
    EventStream.total += characters;
  }

  private hasStalled(): boolean {
    if (this.backlog <= (EventStream.total > LARGEST_TOTAL ? LARGEST_PART : LARGEST_BACKLOG)) this.takenAt = Date.now();
    return Date.now() - this.takenAt > LONGEST_STALL_MS;
  }
}

/** No part ends within a character, since each part is encoded separately. */
function inParts(text: string): string[] {
  const parts: string[] = [];
  for (let begin = 0; begin < text.length; begin += parts.at(-1)?.length ?? 0) {
    const end = begin + LARGEST_PART;
    const last = text.charCodeAt(end - 1);
    parts.push(text.slice(begin, last >= 0xd800 && last <= 0xdbff ? end - 1 : end));
  }
  return parts;
}
