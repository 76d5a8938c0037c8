import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request as ask, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that came. */
export interface Seen {
  readonly method: string;
  /** The target of the request line. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** An answer without a stream. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * A server that speaks the wire of a cloud's provider, before a server of the Messages API: it checks what the provider checks, passes the
 * request on, and gives the answer back in the provider's form. So whole turns run against the stand-in's scripts with each provider.
 */
export abstract class ProviderDoor {
  readonly seen: Seen[] = [];
  private readonly server: Server;

  protected constructor(private readonly model: string) {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const seen = { method, url, headers, body: Buffer.concat(chunks) };
        this.seen.push(seen);
        const opened = this.open(seen);
        if ('status' in opened) return give(response, opened);
        this.pass(opened, response);
      });
      request.on('error', () => undefined);
    });
  }

  /** Checks a request. @returns what is passed on, or the answer */
  protected abstract open(seen: Seen): { model: string; body: object } | Answer;

  /** The provider's form of an error of the Messages API. */
  protected abstract refuse(status: number, error: { type: string; message: string }): Answer;

  /** Begins a streamed answer. @returns what takes each chunk of the Messages API's stream */
  protected abstract begin(response: ServerResponse): (chunk: Buffer) => void;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The bodies of the requests, as JSON. */
  get bodies(): Record<string, unknown>[] {
    return this.seen.filter(({ body }) => body.length > 0).map(({ body }) => JSON.parse(body.toString()));
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  protected async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  private pass({ model, body }: { model: string; body: object }, response: ServerResponse): void {
    const headers = { 'content-type': 'application/json', 'anthropic-version': '2026-10-21', 'x-api-key': 'stand-in' };
    const onward = ask(`${this.model}/v1/messages`, { method: 'POST', headers }, (answer) => {
      const { statusCode = 502, headers } = answer;
      if (statusCode === 200 && headers['content-type']?.startsWith('text/event-stream') === true) {
        const take = this.begin(response);
        answer.on('data', take).on('end', () => response.end());
        // A connection that broke off breaks this one off.
        answer.on('error', () => response.destroy());
        return;
      }
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const { error } = JSON.parse(Buffer.concat(chunks).toString()) as { error: { type: string; message: string } };
        give(response, this.refuse(statusCode, error));
      });
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.end(JSON.stringify({ ...body, model: nameOf(model), stream: true }));
  }
}

function give(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(body);
}

/** The stand-in's name of a provider's model: `us.anthropic.claude-x-20260101-v1:0` and `claude-x@20260101` are `claude-x`. */
function nameOf(model: string): string {
  return model.replace(/^.*(?=claude-)/, '').replace(/@\d+$|(?:-\d{8})?(?:-v\d+(?::\d+)?)?$/, '');
}
