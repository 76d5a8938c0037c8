import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { jsonLine } from './json-line.js';
import { whenClosed } from './when-closed.js';

/** These headers keep proxies from storing a user's data. */
export const LINES_HEADERS = {
  'content-type': 'application/jsonl; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};

/** A client that reads nothing for this long is cut off, in milliseconds. */
const LONGEST_STALL_MS = 30_000;

/**
 * JSON lines to one client: values, one on each line (jsonlines.org; `application/jsonl` in OpenAPI's registry of media types).
 *
 * The values are made as the client reads them, a bundle at a time, so any number of them fits in memory. If making them fails, or the
 * process stops, the connection is cut: the client must not take the broken answer for a complete one.
 */
export class LineStream {
  private response: ServerResponse | undefined;
  private gone = false;

  /**
   * @param bundles yields lists of values; each list is written at once
   * @param failed called with what `bundles` throws once the answer is begun
   */
  constructor(
    private readonly bundles: AsyncGenerator<readonly object[], void, undefined>,
    private readonly failed: (error: unknown) => void,
    private readonly closed: () => void,
    private readonly stallMs = LONGEST_STALL_MS,
  ) {}

  /** Begins the answer with the status and the headers set so far. */
  open(reply: FastifyReply): void {
    reply.hijack();
    const { raw: response } = reply;
    response.writeHead(response.statusCode, reply.getHeaders() as OutgoingHttpHeaders);
    this.pour(response);
  }

  /** The same for Node's own answer, whose headers are written already. */
  pour(response: ServerResponse): void {
    this.response = response;
    whenClosed(response, () => (response.writableFinished ? this.close() : this.destroy()));
    void this.write(response).catch((error: unknown) => {
      if (!this.gone) this.failed(error);
      this.destroy();
    });
  }

  /** Ends the stream at once. */
  destroy(): void {
    this.response?.destroy();
    this.close();
  }

  private close(): void {
    if (this.gone) return;
    this.gone = true;
    void this.bundles.return().catch(() => undefined);
    this.closed();
  }

  private async write(response: ServerResponse): Promise<void> {
    if (response.req.socket.destroyed) return this.destroy();
    for await (const bundle of this.bundles) {
      if (this.gone) return;
      const text = bundle.map((value) => `${jsonLine(value)}\n`).join('');
      if (!response.write(text)) await this.drained(response);
      if (this.gone) return;
    }
    response.end();
  }

  private async drained(response: ServerResponse): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        response.off('drain', done).off('close', done);
        resolve();
      };
      const timer = setTimeout(() => {
        this.destroy();
        done();
      }, this.stallMs);
      response.on('drain', done).on('close', done);
    });
  }
}
