import { Readable } from 'node:stream';

/**
 * A reader that takes nothing for this long while so many bytes wait for it is cut off. One long reply may be more than that
 * at once, so the number alone says nothing; time does.
 */
const LARGEST_BACKLOG = 1024 * 1024;
const LONGEST_STALL_MS = 5_000;

/** When a client comes back, in milliseconds: spread, so that those of a process that stops do not come at once. */
const RETRY_MS = 1_000;

/** An answer's headers that keep what is between us and the client from holding events back or changing them. */
export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  vary: 'Authorization, Accept',
};

/** Server-sent events to one client (WHATWG HTML, section 9.2). */
export class EventStream extends Readable {
  private over = false;
  private written = 0;
  private taken = 0;
  private takenAt = Date.now();

  constructor() {
    super({ read: () => undefined });
    this.push(`retry: ${Math.round(RETRY_MS * (0.5 + Math.random()))}\n\n`);
  }

  /** One event. JSON holds no line ends, so its data is one line whatever it says. */
  send(event: string, id: string, data: object): void {
    this.write(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /**
   * A comment: nothing to the client, but proof to everything on the way that the stream lives. To be called now and then
   * until the stream is closed, for it is also what finds a reader that has stopped reading.
   */
  beat(): void {
    this.write(':\n\n');
    if (this.hasStalled()) this.destroy();
  }

  /** The end; the client has been sent everything. */
  end(): void {
    if (this.over || this.destroyed) return;
    this.over = true;
    this.push(null);
  }

  private write(text: string): void {
    if (this.over || this.destroyed) return;
    if (this.hasStalled()) this.destroy();
    else this.push(text);
    this.written += Buffer.byteLength(text);
  }

  private hasStalled(): boolean {
    const taken = this.written - this.readableLength;
    if (taken !== this.taken || this.readableLength <= LARGEST_BACKLOG) {
      this.taken = taken;
      this.takenAt = Date.now();
    }
    return Date.now() - this.takenAt > LONGEST_STALL_MS;
  }
}
