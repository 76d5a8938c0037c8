import * as http from 'node:http';
import * as https from 'node:https';
import { AnswerFault } from './answer-fault.js';
import { decodedBody } from './decoded-body.js';
import { GrowingBytes } from './growing-bytes.js';

/** A request to a tool's server. */
export interface ToolRequest {
  readonly url: URL;
  /** Names are in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The most bytes of the answer's body that are read, after decompression, by the answer's status. At 0 none is read. */
  readonly mostBytes: (status: number) => number;
}

/** An answer, read to its end or to the most that may be read. */
export interface ToolAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body was longer, and the rest was not read. */
  readonly isPart: boolean;
}

/** There was no complete answer. The cause is the system's error. */
export class NoAnswer extends Error {
  constructor(
    /** There was a connection, so the server may have got the request and have done what it asks for. */
    readonly sent: boolean,
    options: ErrorOptions,
  ) {
    super(sent ? 'the answer did not come' : 'the request was not sent', options);
    this.name = 'NoAnswer';
  }
}

/**
 * Sends a `POST` and reads the answer. It follows no redirect and uses no proxy.
 *
 * Each request has a connection of its own, which ends with it. On one that is kept, a request may meet the server's closing of an idle
 * connection, and then nobody knows whether the tool has run. `fetch` keeps connections, and does not tell whether it has sent the request.
 *
 * @throws NoAnswer if there is no complete answer, also because `signal` has aborted
 * @throws AnswerFault if the answer is in an encoding that is not known
 */
export async function post(toSend: ToolRequest, signal: AbortSignal): Promise<ToolAnswer> {
  const exchange = new Exchange();
  let stop = (): void => undefined;
  // Node's streams do not always end with an error when they are destroyed, so the abort itself ends the wait.
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
  });
  signal.addEventListener('abort', stop);
  try {
    signal.throwIfAborted();
    return await Promise.race([exchange.run(toSend), stopped]);
  } catch (cause) {
    if (cause instanceof AnswerFault) throw cause;
    throw new NoAnswer(exchange.sent, { cause });
  } finally {
    signal.removeEventListener('abort', stop);
    exchange.end();
  }
}

/** One request, its connection, and its answer. */
class Exchange {
  /** There was a connection, which with TLS means a secure one. */
  sent = false;
  private request: http.ClientRequest | undefined;
  private response: http.IncomingMessage | undefined;

  async run({ url, headers, body, mostBytes }: ToolRequest): Promise<ToolAnswer> {
    const isSecure = url.protocol === 'https:';
    const length = String(body.byteLength);
    const options = { method: 'POST', agent: false, headers: { ...headers, 'content-length': length } } as const;
    const request = (isSecure ? https : http).request(url, options);
    this.request = request;
    request.once('socket', (socket) => socket.once(isSecure ? 'secureConnect' : 'connect', () => (this.sent = true)));
    const response = answerTo(request);
    request.end(body);
    this.response = (await response).on('error', () => undefined);
    const status = this.response.statusCode ?? 0;
    return {
      status,
      headers: this.response.headers,
      ...(await readAtMost(this.response, mostBytes(status))),
    };
  }

  /** Ends the connection, whatever is left of the answer. */
  end(): void {
    this.response?.destroy();
    this.request?.destroy();
  }
}

/** Waits for the headers of the answer. */
function answerTo(request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
    // Without a listener, Node closes such a connection without an error.
    request.once('upgrade', (_, socket) => {
      socket.destroy();
      reject(new Error('the server wants to speak another protocol'));
    });
  });
}

async function readAtMost(response: http.IncomingMessage, most: number): Promise<Pick<ToolAnswer, 'body' | 'isPart'>> {
  const bytes = new GrowingBytes(most);
  if (most === 0) return { body: bytes.taken(), isPart: true };
  for await (const chunk of decodedBody(response)) {
    if (!bytes.add(chunk as Buffer)) return { body: bytes.taken(), isPart: true };
  }
  return { body: bytes.taken(), isPart: false };
}
