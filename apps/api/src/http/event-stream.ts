import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { jsonLine } from './json-line.js';
import { whenClosed } from './when-closed.js';

/**
 * A reader is cut off if it takes nothing for this long while this many characters wait for it. One long reply may be more than that at
 * once, so the number alone is no reason; time is.
 */
const LARGEST_BACKLOG = 1024 * 1024;
/** Once this many wait for all readers of the process together, none may have more than a share. */
const LARGEST_TOTAL = 32 * 1024 * 1024;
const LONGEST_STALL_MS = 5_000;

/** UTF-16 code units that are handed over at once, so that a slow reader of a long event is seen to read. */
const LARGEST_PART = 64 * 1024;

/** When a client reconnects, in milliseconds: spread, so that clients of a process that stops do not come at once. */
const RETRY_MS = 1_000;

/** Headers that keep proxies from holding events back or changing them. */
export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
};

/**
 * Server-sent events for one client (WHATWG HTML, section 9.2). Events that are sent before the answer is begun wait for that.
 *
 * Most streams are idle most of the time, so what one keeps in memory counts. This is none of Node's streams: the framework would wrap it
 * in four more, and keep everything that it made for the request until the client leaves.
 */
export class EventStream {
  /** Characters that wait in all streams of this process. */
  private static total = 0;
  private response: ServerResponse | undefined;
  /** Text that the response has not taken yet. */
  private waiting: string[] = [];
  private begun = false;
  private backlog = 0;
  private takenAt = 0;
  /** No more events are sent; those that wait still are. */
  private over = false;
  private gone = false;
  private listeners: readonly (() => void)[] = [];

  /** The client has everything, or has left. */
  get closed(): boolean {
    return this.gone;
  }

  /** Calls `listener` once that is so. */
  onceClosed(listener: () => void): void {
    // They are few and kept for long: an array that grows by push keeps room for more.
    this.listeners = [...this.listeners, listener];
  }

  /**
   * Begins the answer with the status and the headers that it has so far. From here on everything is written to Node's own response: the
   * framework is done with the request and forgets it.
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
    // Node keeps the headers as long as the answer. Sent by themselves they become one string; otherwise they stay forty.
    response.flushHeaders();
    this.response = response;
    this.flush();
  }

  /**
   * One event. Its data is one line, whatever it says. The id comes last: a client that is cut off within the event, and takes in each line
   * as it comes (@microsoft/fetch-event-source does), must not ask for what comes after it. The first event also says when to come back:
   * many clients take a block without data for an event, and fail to parse it.
   */
  send(event: string, id: string, data: object): void {
    const retry = this.begun ? '' : `retry: ${Math.round(RETRY_MS * (0.5 + Math.random()))}\n`;
    this.begun = true;
    this.write(`${retry}event: ${event}\ndata: ${jsonLine(data)}\nid: ${id}\n\n`);
  }

  /**
   * Sends a beat: a comment, which clients ignore and which shows everything on the way that the stream lives. It is a line of the next
   * block, not a block of its own. It is called now and then until the stream is closed, and also finds a reader that has stopped reading.
   */
  beat(): void {
    if (this.hasStalled()) this.destroy();
    else this.write(':\n');
  }

  /** Ends the stream after what was sent before. */
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

  /** Hands over as much as the client's connection takes. `drain` calls for more. */
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

/** No piece ends within a character, since each is encoded by itself. */
function inParts(text: string): string[] {
  const parts: string[] = [];
  for (let begin = 0; begin < text.length; begin += parts.at(-1)?.length ?? 0) {
    const end = begin + LARGEST_PART;
    const last = text.charCodeAt(end - 1);
    parts.push(text.slice(begin, last >= 0xd800 && last <= 0xdbff ? end - 1 : end));
  }
  return parts;
}
