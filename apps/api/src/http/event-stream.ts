import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { jsonLine } from './json-line.js';

/**
 * A reader that takes nothing for this long while so many characters wait for it is cut off. One long reply may be more than that
 * at once, so the number alone says nothing; time does.
 */
const LARGEST_BACKLOG = 1024 * 1024;
/** Once so many wait for all readers of the process together, none may have more than a part. */
const LARGEST_TOTAL = 32 * 1024 * 1024;
const LONGEST_STALL_MS = 5_000;

/** UTF-16 code units handed over in one go: of a long event it is seen so that its reader takes it, however slowly. */
const LARGEST_PART = 64 * 1024;

/** When a client comes back, in milliseconds: spread, so that those of a process that stops do not come at once. */
const RETRY_MS = 1_000;

/** An answer's headers that keep what is between us and the client from holding events back or changing them. */
export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
};

/**
 * Server-sent events to one client (WHATWG HTML, section 9.2). What is sent before the answer is begun waits for that.
 *
 * Most streams are idle most of the time, so what one holds on to counts. This is none of Node's streams: the framework would
 * wrap it in four more, and keep all it made for the request until the client leaves.
 */
export class EventStream {
  /** Characters that wait in all streams of this process. */
  private static total = 0;
  private response: ServerResponse | undefined;
  /** What the response has not taken yet. */
  private waiting: string[] = [];
  private begun = false;
  private backlog = 0;
  private takenAt = 0;
  /** Nothing more is sent; what waits still is. */
  private over = false;
  private gone = false;
  private listeners: readonly (() => void)[] = [];

  /** The client has everything, or has left. */
  get closed(): boolean {
    return this.gone;
  }

  /** Calls `listener` once that is so. */
  onceClosed(listener: () => void): void {
    // They are few, and kept for long: an array that is pushed to keeps room for more.
    this.listeners = [...this.listeners, listener];
  }

  /**
   * Begins the answer with the status and the headers that it was given so far. From here on everything is written to Node's
   * own response: the framework is done with the request, and forgets it.
   */
  open(reply: FastifyReply): void {
    reply.hijack();
    const { raw: response } = reply;
    const { socket } = response.req;
    if (this.gone || socket.destroyed) {
      // The client has left before there was anything to say.
      response.destroy();
      return this.close();
    }
    const closed = (): void => {
      socket.off('close', closed);
      this.close();
    };
    response.on('close', closed);
    // An answer that waits behind another on its connection is not told when that ends.
    if (response.socket === null) {
      socket.setMaxListeners(0); // as many may wait as the client cares to send
      socket.on('close', closed);
    }
    response.on('drain', () => this.flush());
    response.writeHead(response.statusCode, reply.getHeaders() as OutgoingHttpHeaders);
    // Node keeps the headers for as long as the answer. Sent by themselves they become one string; else they stay forty.
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
   * A comment: nothing to the client, but proof to everything on the way that the stream lives. It is a line of the block to come, not
   * a block of its own. To be called now and then until the stream is closed, for it also finds a reader that has stopped reading.
   */
  beat(): void {
    if (this.hasStalled()) this.destroy();
    else this.write(':\n');
  }

  /** The end; what was sent before it still leaves. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.flush();
  }

  /** The end at once, whatever the client lacks. */
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

  /** Hands over as much as the client's connection takes; it calls for more by `drain`. */
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

/** None ends within a character: each is encoded by itself. */
function inParts(text: string): string[] {
  const parts: string[] = [];
  for (let begin = 0; begin < text.length; begin += parts.at(-1)?.length ?? 0) {
    const end = begin + LARGEST_PART;
    const last = text.charCodeAt(end - 1);
    parts.push(text.slice(begin, last >= 0xd800 && last <= 0xdbff ? end - 1 : end));
  }
  return parts;
}
