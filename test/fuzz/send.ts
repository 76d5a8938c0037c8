import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';

/** A request as it is sent. */
export interface Sent {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** We left before its end: a stream lasts as long as its job. */
  readonly cut: boolean;
}

/** How long a stream is read, in milliseconds, and how many bytes of any answer are read. */
const STREAM_MS = 100;
const LARGEST_ANSWER = 16 * 1024 * 1024;

/**
 * Sends a request and reads the answer. @returns undefined when no answer has begun after `patienceMs` @throws Error when the connection
 * breaks
 */
export async function send(agent: Agent, url: string, sent: Sent, patienceMs: number): Promise<Answer | undefined> {
  try {
    return await exchange(agent, url, sent, patienceMs);
  } catch (error) {
    // The API may have closed an idle connection at this moment. On a new connection, the request itself is the cause.
    if ((error as { onOldConnection?: boolean }).onOldConnection !== true) throw error;
    return await exchange(new Agent(), url, sent, patienceMs);
  }
}

function exchange(agent: Agent, url: string, sent: Sent, patienceMs: number): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const request = httpRequest({
      agent,
      hostname,
      port,
      method: sent.method,
      path: sent.target,
      headers: flat(sent),
      setHost: false,
    });
    const patience = setTimeout(() => {
      resolve(undefined);
      request.destroy();
    }, patienceMs);
    request.on('response', (response) => {
      clearTimeout(patience);
      read(response).then(resolve, reject);
    });
    request.on('error', (error) => {
      clearTimeout(patience);
      reject(Object.assign(error, { onOldConnection: request.reusedSocket }));
    });
    request.end(sent.body);
  });
}

function read(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const done = (cut: boolean): void => {
      clearTimeout(bound);
      const headers = new Headers();
      for (let n = 0; n < response.rawHeaders.length; n += 2) {
        headers.append(response.rawHeaders[n] ?? '', response.rawHeaders[n + 1] ?? '');
      }
      resolve({ status: response.statusCode ?? 0, headers, text: Buffer.concat(chunks).toString(), cut });
    };
    const leave = (): void => {
      done(true);
      response.destroy();
    };
    const streams = response.headers['content-type']?.startsWith('text/event-stream') === true;
    const bound = streams ? setTimeout(leave, STREAM_MS) : undefined;
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > LARGEST_ANSWER) leave();
    });
    response.on('end', () => done(false));
    response.on('error', reject);
    response.on('close', () => response.complete || reject(new Error('the answer broke off')));
  });
}

function flat({ method, headers, body }: Sent): string[] {
  const all = headers.flat();
  // Otherwise Node announces a body in chunks, and sends none.
  const length = body?.length ?? (method === 'GET' ? undefined : 0);
  return length === undefined ? all : [...all, 'Content-Length', String(length)];
}

/** The request as a command for bash. */
export function asCurl(url: string, { method, target, headers, body }: Sent): string {
  return [
    `curl -i --path-as-is -g -X ${method} ${quoted(url + target)}`,
    ...headers
      .filter(([name]) => name !== 'Host')
      .map(([name, value]) => `-H ${quoted(value === '' ? `${name};` : `${name}: ${value}`, 'latin1')}`),
    ...(body === undefined ? [] : [`--data-binary ${quoted(body)}`]),
  ].join(' \\\n  ');
}

/** Quotes for bash. A character that repeats is written as a number. */
function quoted(given: string | Buffer, encoding: BufferEncoding = 'utf8'): string {
  const bytes = typeof given === 'string' ? Buffer.from(given, encoding) : given;
  const inQuotes = [...bytes]
    .map((byte) => (byte >= 32 && byte < 127 && byte !== 39 && byte !== 92 ? String.fromCharCode(byte) : escaped(byte)))
    .join('');
  return `$'${inQuotes}'`.replace(/((?:\\x..|[^\\'])+?)\1{99,}/g, (run: string, part: string) => {
    return `'"$(printf $'${part.replaceAll('%', '%%')}%.0s' {1..${run.length / part.length}})"$'`;
  });
}

function escaped(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
