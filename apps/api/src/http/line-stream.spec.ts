import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { LineStream } from './line-stream.js';

const LONG = { text: 'x'.repeat(64 * 1024) };

/** Serves one answer with these bundles. */
async function serve(
  bundles: AsyncGenerator<object[], void, undefined>,
  stallMs?: number,
): Promise<{ answer: IncomingMessage; failures: unknown[]; closed: Promise<void>; end: () => void }> {
  const failures: unknown[] = [];
  let isClosed = (): void => undefined;
  const closed = new Promise<void>((resolve) => (isClosed = resolve));
  const server = createServer((_, response) => {
    response.writeHead(200);
    new LineStream(bundles, (error) => failures.push(error), isClosed, stallMs).pour(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [answer] = (await once(get({ host: '127.0.0.1', port, agent: false }), 'response')) as [IncomingMessage];
  return { answer, failures, closed, end: () => void (server.closeAllConnections(), server.close()) };
}

async function read(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return text;
}

describe('a stream of lines', () => {
  it('is one JSON value on each line, and makes no more than its reader takes', async () => {
    let made = 0;
    const { answer, closed, failures, end } = await serve(
      (async function* () {
        yield [{ a: 'one\ntwo' }, { b: 2 }];
        for (made = 0; made < 500; made++) yield [LONG];
      })(),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(made).toBeLessThan(400);
    const lines = (await read(answer)).split('\n');
    expect(lines.slice(0, 2)).toEqual(['{"a":"one\\ntwo"}', '{"b":2}']);
    expect([lines.length, lines.at(-1), answer.complete]).toEqual([503, '', true]);
    await closed;
    expect(failures).toEqual([]);
    end();
  });

  it('is cut off when its reader takes nothing for too long, and ends what makes it', async () => {
    let ended = false;
    const { answer, closed, failures, end } = await serve(
      (async function* () {
        try {
          for (;;) yield [LONG];
        } finally {
          ended = true;
        }
      })(),
      200,
    );
    await closed;
    await expect(read(answer)).rejects.toThrow('aborted');
    expect([ended, failures]).toEqual([true, []]);
    end();
  });

  it('is cut, not ended, when its lines cannot be made', async () => {
    const fault = new Error('away');
    const { answer, failures, end } = await serve(
      (async function* () {
        yield [LONG];
        throw fault;
      })(),
    );
    await expect(read(answer)).rejects.toThrow('aborted');
    expect(failures).toEqual([fault]);
    end();
  });
});
