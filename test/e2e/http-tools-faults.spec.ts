import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { HttpTool } from '#database/entities/tool.js';
import { HttpTools } from '../../apps/worker/src/tools/http-tool.js';
import type { ToolResult } from '../../apps/worker/src/tools/tool-result.js';
import { freePort } from '../../tools/free-port.js';
import { answerOf, ToolServer } from '../support/tool-server.js';
import { until } from '../support/until.js';

const SECRET = `whsec_${Buffer.from('tool-servers-of-a-test-only-7xq4').toString('base64')}`;
const TEXT = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n';
const MEGABYTE = 1024 * 1024;
const BROKE = /^The connection to the tool broke before its answer was complete\./;
const UNKNOWN = /The outcome is unknown: the tool may have done its work or not\.$/;

describe('a tool’s server that fails', () => {
  const servers: ToolServer[] = [];
  let warnings: jest.SpiedFunction<Logger['warn']>;
  beforeEach(() => {
    warnings = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  });
  afterEach(() => {
    jest.restoreAllMocks();
    for (const server of servers.splice(0)) server.close();
  });

  const serve = async (answer: string | ((socket: Socket, n: number) => void)): Promise<ToolServer> => {
    const server = await ToolServer.start(answer);
    servers.push(server);
    return server;
  };
  const call = (url: string, others: Partial<HttpTool> = {}): Promise<ToolResult> =>
    new HttpTools({ secrets: [SECRET], callsAtOnce: 1, example: false }).run(
      {
        run: 'http',
        name: 'find_order',
        description: 'Finds an order.',
        input_schema: { type: 'object' },
        approval: 'never',
        result_max_bytes: 1_000,
        url,
        headers: {},
        repeatable: false,
        timeout_seconds: 1,
        ...others,
      },
      {
        callId: 'toolu_01',
        userId: 'ana',
        chatId: 'chat-1',
        jobId: 'job-1',
        assistant: 'support',
        input: {},
        traceparent: null,
      },
      new AbortController().signal,
    );
  /** A call of a server that answers so. Afterwards no connection is left. */
  const answered = async (answer: string | ((socket: Socket) => void), others?: Partial<HttpTool>) => {
    const server = await serve(answer);
    const began = performance.now();
    const result = await call(server.url, others);
    await until(async () => server.sockets.size === 0, 'the end of every connection');
    return { ...result, ms: performance.now() - began, server };
  };
  /** Writes the same bytes for as long as there is anybody who reads them. */
  const endless = (socket: Socket, bytes: Buffer | string): void => {
    const more = (): void => {
      while (socket.writable && socket.write(bytes));
    };
    socket.on('drain', more);
    more();
  };

  it('and hangs is left when the time is over', async () => {
    const { content, isError, ms } = await answered(() => undefined);
    expect(content).toMatch(/^The tool did not answer within 1 s\. The outcome is unknown/);
    expect([isError, ms < 3_000]).toEqual([true, true]);
  });

  it('and hangs is tried three times where a tool may run twice, and then its outcome does not matter', async () => {
    const { content, server } = await answered(() => undefined, { repeatable: true });
    expect([content, server.requests.length]).toEqual(['The tool did not answer within 1 s.', 3]);
  });

  it('and drips is left when the time is over, though bytes come', async () => {
    const { content, ms } = await answered((socket) => {
      socket.write(`${TEXT}\r\n`);
      const drip = setInterval(() => socket.write('x'), 50);
      socket.on('close', () => clearInterval(drip));
    });
    expect(content).toMatch(/^The tool did not answer within 1 s\. The outcome is unknown/);
    expect(ms).toBeLessThan(3_000);
  });

  it('and drips its headers is left likewise', async () => {
    const { content } = await answered((socket) => {
      socket.write(TEXT);
      const drip = setInterval(() => socket.write('x-drip: 1\r\n'), 50);
      socket.on('close', () => clearInterval(drip));
    });
    expect(content).toMatch(/^The tool did not answer within 1 s\./);
  });

  it('and sends 2 GB costs no more than the beginning, which is the result', async () => {
    const before = process.memoryUsage().arrayBuffers;
    let largest = 0;
    const { content, isError } = await answered(
      (socket) => {
        socket.write(`${TEXT}content-length: 2147483648\r\n\r\n`);
        socket.on('close', () => (largest = process.memoryUsage().arrayBuffers - before));
        endless(socket, Buffer.alloc(MEGABYTE, 'x'));
      },
      { timeout_seconds: 30 },
    );
    expect(content).toMatch(/^x{900,}\n\[This result was cut: it was more than 4000 bytes long\.\]$/);
    expect([isError, content.length, largest < 64 * MEGABYTE]).toEqual([false, 1_000, true]);
  });

  it.each([
    ['gzip', gzipSync(Buffer.alloc(64 * MEGABYTE))],
    ['br', brotliCompressSync(Buffer.alloc(64 * MEGABYTE))],
  ])('and sends a bomb of %s is read to the same bound', async (encoding, bomb) => {
    const { isError, ms } = await answered((socket) => {
      socket.write(`${TEXT}content-encoding: ${encoding}\r\ncontent-length: ${bomb.byteLength}\r\n\r\n`);
      socket.end(bomb);
    });
    expect([isError, ms < 900]).toEqual([false, true]);
  });

  it('and compresses its answer is understood', async () => {
    for (const [encoding, body] of [
      ['gzip', gzipSync('größer')],
      ['br', brotliCompressSync('größer')],
    ] as const) {
      const { content } = await answered((socket) => {
        socket.write(`${TEXT}content-encoding: ${encoding}\r\ncontent-length: ${body.byteLength}\r\n\r\n`);
        socket.end(body);
      });
      expect(content).toBe('größer');
    }
  });

  it('and compresses in an unknown way, or twice, is an error', async () => {
    for (const encoding of ['zstd', 'gzip, gzip', 'constructor']) {
      const { content } = await answered(`${TEXT}content-encoding: ${encoding}\r\n\r\nx`);
      expect(content).toBe('The tool answered in a compression that is not known.');
    }
  });

  it.each([301, 302, 304, 307, 308])('and redirects (%i) is not followed', async (status) => {
    const target = await serve(answerOf(200, 'text/plain', 'here'));
    const { content, isError } = await answered(answerOf(status, 'text/plain', '', `location: ${target.url}\r\n`));
    expect([content, isError]).toEqual([`The tool answered ${status}, a redirect, which is not followed.`, true]);
    expect(target.requests).toEqual([]);
  });

  it('and answers a page is an error that says so', async () => {
    const { content } = await answered(answerOf(200, 'text/html', '<h1>Sign in</h1>'));
    expect(content).toBe('The tool answered with text/html, which is neither JSON nor plain text.');
  });

  it.each([
    ['before its answer', (socket: Socket) => socket.end()],
    ['by a reset', (socket: Socket) => socket.resetAndDestroy()],
    ['within its headers', (socket: Socket) => socket.end(TEXT)],
    ['within a body of a stated length', (socket: Socket) => socket.end(`${TEXT}content-length: 100\r\n\r\nshort`)],
    ['within a chunk', (socket: Socket) => socket.end(`${TEXT}transfer-encoding: chunked\r\n\r\n64\r\nshort`)],
    ['between chunks', (socket: Socket) => socket.end(`${TEXT}transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n`)],
    [
      'within gzip',
      (socket: Socket) => {
        socket.write(`${TEXT}content-encoding: gzip\r\n\r\n`);
        socket.end(gzipSync('x'.repeat(500)).subarray(0, 15));
      },
    ],
    ['after what is no HTTP', (socket: Socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    ['after endless headers', (socket: Socket) => endless(socket.unref(), `${TEXT}x: ${'x'.repeat(100_000)}\r\n`)],
    [
      'after a switch of protocols',
      (socket: Socket) => socket.end('HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
    ['after a length that is none', (socket: Socket) => socket.end(`${TEXT}content-length: -7\r\n\r\nx`)],
    ['after two lengths', (socket: Socket) => socket.end(`${TEXT}content-length: 1\r\ncontent-length: 2\r\n\r\nxx`)],
  ])('and closes %s leaves an outcome that is unknown', async (_, close) => {
    const { content, isError, ms } = await answered((socket) => void close(socket));
    expect(content).toMatch(BROKE);
    expect(content).toMatch(UNKNOWN);
    expect([isError, ms < 900]).toEqual([true, true]);
  });

  it('and sends more than it says is believed as far as it says', async () => {
    const { content, isError } = await answered(`${TEXT}content-length: 4\r\n\r\nopenHTTP/1.1 200 OK\r\n\r\nmore`);
    expect([content, isError]).toEqual(['open', false]);
  });

  it('and answers without a length is read to the end of the connection', async () => {
    expect((await answered(`${TEXT}\r\nopen`)).content).toBe('open');
  });

  it('and sends each byte in a chunk of its own costs no more memory than the bytes', async () => {
    const before = process.memoryUsage().heapUsed;
    const { content } = await answered(
      (socket) => {
        socket.write(`${TEXT}transfer-encoding: chunked\r\n\r\n`);
        endless(socket, '1\r\nx\r\n'.repeat(10_000));
      },
      { timeout_seconds: 60, result_max_bytes: 100_000 },
    );
    expect(content).toHaveLength(100_000);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * MEGABYTE);
  });

  it('by being away could not be reached, and nothing is said of an outcome: there can be none', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    expect(await call(url)).toEqual({ content: 'The tool could not be reached.', isError: true });
    expect(warnings).toHaveBeenCalledWith(expect.objectContaining({ words: 'A tool did not answer.' }));
    expect(JSON.stringify(warnings.mock.calls)).toContain('the request was not sent');
  });

  it.each(['http://no-such-host.invalid', 'http://127.0.0.1:1'])('%s could not be reached', async (url) => {
    expect((await call(url, { timeout_seconds: 30 })).content).toBe('The tool could not be reached.');
  });

  it('by speaking no TLS, or with a certificate that nobody vouches for, could not be reached, and learns nothing', async () => {
    const plain = await serve(answerOf(200, 'text/plain', 'x'));
    const tls = {
      key: readFileSync('test/support/tls/localhost-key.pem', 'utf8'),
      cert: readFileSync('test/support/tls/localhost-cert.pem', 'utf8'),
    };
    const strange = await ToolServer.start(answerOf(200, 'text/plain', 'x'), tls);
    servers.push(strange);
    for (const { url, requests } of [{ ...plain, url: plain.url.replace('http:', 'https:') }, strange]) {
      expect((await call(url)).content).toBe('The tool could not be reached.');
      expect(requests).toEqual([]);
    }
  });

  it('in the middle of TLS could not be reached', async () => {
    const silent = createTcpServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    expect((await call(`https://127.0.0.1:${port}`)).content).toBe('The tool could not be reached.');
    silent.close();
  });

  it('does not delay the calls of others, however many hang', async () => {
    const hanging = await serve(() => undefined);
    const good = await serve(answerOf(200, 'text/plain', 'open'));
    const hung = Array.from({ length: 100 }, () => call(hanging.url, { timeout_seconds: 3 }));
    const began = performance.now();
    const contents = await Promise.all(Array.from({ length: 20 }, async () => (await call(good.url)).content));
    expect(new Set(contents)).toEqual(new Set(['open']));
    expect(performance.now() - began).toBeLessThan(2_500);
    expect((await Promise.all(hung)).every(({ isError }) => isError)).toBe(true);
  });
});
