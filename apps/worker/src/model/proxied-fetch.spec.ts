import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { proxiedFetch } from './proxied-fetch.js';

const SECURE = 'https://model.example/v1/messages';
const PLAIN = 'http://model.example/v1/messages';
const PASSWORD = 'hush-qpxz';

describe('a call through a proxy', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  /** A proxy that answers each connection with these bytes, or passes the connection to `answer`. */
  const proxy = async (answer: string | ((socket: Socket) => void)): Promise<string> => {
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      socket.once('data', () => (typeof answer === 'string' ? socket.end(answer) : answer(socket)));
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `http://ana:${PASSWORD}@127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const thrown = async (url: string, target = SECURE, init: RequestInit = {}): Promise<Error> => {
    try {
      await proxiedFetch({ name: 'HTTPS_PROXY', url })(target, init);
    } catch (error) {
      return error as Error;
    }
    throw new Error('It was answered.');
  };

  it.each([SECURE, PLAIN])('that wants another password is told by the name of its variable: %s', async (target) => {
    const error = await thrown(await proxy('HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n'), target);
    expect(error).toMatchObject({ name: 'ProxyFault', message: expect.stringMatching(/^HTTPS_PROXY answered 407/) });
  });

  it.each([403, 502, 503])('that makes no tunnel is told with its status: %i', async (status) => {
    const error = await thrown(await proxy(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`));
    expect(error).toMatchObject({
      name: 'ProxyFault',
      message: expect.stringContaining(`HTTPS_PROXY answered ${status}`),
    });
  });

  it.each([SECURE, PLAIN])('that is away is told as one that cannot be reached: %s', async (target) => {
    const url = await proxy('');
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const error = await thrown(url, target);
    expect(error).toMatchObject({ name: 'ProxyFault', message: 'HTTPS_PROXY cannot be reached.' });
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it.each([SECURE, PLAIN])('that breaks the connection off is told as a connection that failed: %s', async (target) => {
    const error = await thrown(await proxy((socket) => socket.destroy()), target);
    expect(error).toMatchObject({ name: 'ProxyFault', message: 'The connection through HTTPS_PROXY failed.' });
  });

  it('whose tunnel breaks before the model is reached is told as a connection that failed', async () => {
    const url = await proxy('HTTP/1.1 200 OK\r\n\r\n');
    const error = await thrown(url);
    expect(error).toMatchObject({ name: 'ProxyFault', message: 'The connection through HTTPS_PROXY failed.' });
  });

  it('never has the proxy’s password in its words', async () => {
    for (const answer of ['HTTP/1.1 407 No\r\n\r\n', 'HTTP/1.1 502 No\r\n\r\n', 'nonsense']) {
      for (let error: unknown = await thrown(await proxy(answer)); error instanceof Error; error = error.cause) {
        expect(`${error.message} ${error.stack}`).not.toContain(PASSWORD);
      }
    }
  });

  it('is stopped while the proxy is silent, and that is not the proxy’s fault', async () => {
    const controller = new AbortController();
    const url = await proxy(() => controller.abort());
    const error = await thrown(url, SECURE, { signal: controller.signal });
    expect(error.name).toBe('AbortError');
  });

  it('is not led elsewhere: a redirect is an answer', async () => {
    const url = await proxy('HTTP/1.1 307 No\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n');
    const { status } = await proxiedFetch({ name: 'HTTP_PROXY', url })(PLAIN, { redirect: 'manual' });
    expect(status).toBe(307);
  });
});
