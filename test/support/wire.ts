import { connect } from 'node:net';

/** Sends bytes as they are. @returns the bytes that come back until the server ends the connection, or is silent for `ms` */
export function wire(url: string, request: string, ms = 1_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => socket.write(request, 'latin1'));
    let answer = '';
    socket.setTimeout(ms, () => socket.destroy());
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

/** The JSON body of such an answer, chunked or not. */
export function wireBody(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4).replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, ''));
}

/** An answer as it came over the wire. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The answer's content, with its chunks joined. */
  readonly text: string;
}

export interface WireExchange {
  /** All answers that came back, in order, including `100 Continue`. */
  readonly answers: WireAnswer[];
  /** Whether the server ended the connection. */
  readonly ended: boolean;
}

/**
 * Sends bytes as they are, without reading while it sends. It then reads until it has `count` answers, or the server ends the connection.
 * @throws Error when the connection is reset, or silent for ten seconds
 */
export function exchange(url: string, bytes: string | Buffer, count = Infinity): Promise<WireExchange> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let came = Buffer.alloc(0);
    const answers: WireAnswer[] = [];
    const done = (ended: boolean): void => {
      resolve({ answers, ended });
      socket.destroy();
    };
    socket.pause();
    socket.on('connect', () => {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, () => socket.resume());
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error(`Silence after ${answers.length} answers.`)));
    socket.on('data', (chunk) => {
      came = Buffer.concat([came, chunk]);
      for (let next = firstAnswer(came); next !== undefined; next = firstAnswer(came)) {
        answers.push(next.answer);
        came = came.subarray(next.length);
      }
      if (answers.length >= count) done(false);
    });
    socket.on('error', reject);
    socket.on('end', () => done(true));
  });
}

/** The answer at the beginning of the bytes, and its length; undefined: it is not complete. */
function firstAnswer(bytes: Buffer): { answer: WireAnswer; length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [first = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
  const headers = new Headers(lines.map((line) => [line.split(':', 1)[0] ?? '', line.slice(line.indexOf(':') + 1)]));
  let at = headEnd + 4;
  let text = '';
  if (headers.get('transfer-encoding') === 'chunked') {
    for (let size = -1; size !== 0;) {
      const lineEnd = bytes.indexOf('\r\n', at);
      if (lineEnd < 0) return undefined;
      size = parseInt(bytes.subarray(at, lineEnd).toString(), 16);
      text += bytes.subarray(lineEnd + 2, lineEnd + 2 + size).toString();
      at = lineEnd + 2 + size + 2;
      if (at > bytes.length) return undefined;
    }
  } else {
    const length = Number(headers.get('content-length') ?? 0);
    if (at + length > bytes.length) return undefined;
    text = bytes.subarray(at, at + length).toString();
    at += length;
  }
  return { answer: { status, headers, text }, length: at };
}
