import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { fastify, type FastifyInstance } from 'fastify';
import { BOUNDS, ConnectionBounds } from './connection-bounds.js';
import { Connections } from './connections.js';

const LARGE = 'x'.repeat(8 * 1024 * 1024);

/** A client that reads only when the test asks it to. */
interface Client {
  readonly socket: Socket;
  /** The text received so far. */
  received(): string;
  /** Reads until the connection ends. */
  readToEnd(): Promise<string>;
  readonly isClosed: () => boolean;
}

describe('connections', () => {
  beforeAll(() => Logger.overrideLogger(false));

  let server: FastifyInstance;
  let clients: Client[] = [];
  /** Ends the answers of `/wait`. */
  let release: (() => void)[] = [];
  let waiting = 0;
  afterEach(async () => {
    release.forEach((end) => end());
    clients.forEach(({ socket }) => socket.destroy());
    server.server.closeAllConnections();
    await server.close();
    clients = [];
    release = [];
    waiting = 0;
  });

  const serve = async (most: number, bounds: Partial<typeof BOUNDS> = {}): Promise<Connections> => {
    server = fastify({ bodyLimit: LARGE.length });
    const connections = new Connections();
    connections.watch(server.server);
    new ConnectionBounds(server, connections, most, { ...BOUNDS, checkMs: 20, ...bounds });
    server.setErrorHandler<Error & { status?: number; headers?: Record<string, string> }>((error, _request, reply) =>
      reply
        .status(error.status ?? 500)
        .headers(error.headers ?? {})
        .send(error.message),
    );
    server.get('/health/live', async () => 'alive');
    server.get('/small', async () => 'small');
    server.get('/large', async () => LARGE);
    server.get('/wait', async () => {
      waiting += 1;
      await new Promise<void>((resolve) => release.push(resolve));
      return 'waited';
    });
    server.post('/body', async () => 'taken');
    await server.listen({ port: 0, host: '127.0.0.1' });
    return connections;
  };
  const open = async (...paths: string[]): Promise<Client> => {
    const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
    let [received, closed] = ['', false];
    socket.setEncoding('latin1').on('error', () => undefined);
    socket.on('close', () => (closed = true));
    const client = {
      socket,
      received: () => received,
      readToEnd: async () => {
        if (!closed) await once(socket, 'close');
        return received;
      },
      isClosed: () => closed,
    };
    clients.push(client);
    await once(socket, 'connect');
    if (!paths.includes('/large')) socket.on('data', (chunk: string) => (received += chunk));
    socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    return client;
  };
  const until = async (is: () => boolean): Promise<void> => {
    for (const begun = Date.now(); !is();) {
      if (Date.now() > begun + 5_000) throw new Error(`Waited in vain until ${is.toString()}`);
      await sleep(5);
    }
  };
  /** A client that does not read never sees the end; writing shows it. */
  const gone = (client: Client): boolean => client.isClosed() || (client.socket.write('\r\n'), false);
  /** A server knows of a connection once it has answered on it. */
  const openAnswered = async (): Promise<Client> => {
    const client = await open('/small');
    await until(() => client.received().endsWith('small'));
    return client;
  };

  it('on which nothing is asked are closed for new ones, the one that is idle for longest first', async () => {
    await serve(3);
    const [first, second] = [await openAnswered(), await openAnswered()];
    first.socket.write('GET /small HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => first.received().split('small').length === 3);
    const waits = await open('/wait');
    await until(() => waiting === 1);
    const next = await openAnswered();
    await until(second.isClosed);
    expect([first.isClosed(), waits.isClosed(), next.isClosed()]).toEqual([false, false, false]);
    // Half a request or half a body does not keep a connection open.
    first.socket.write('POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf');
    next.socket.write('GET /small HTTP/1.1\r\nHos');
    await sleep(30);
    await openAnswered();
    await until(next.isClosed);
    await openAnswered();
    await until(first.isClosed);
    expect(waits.isClosed()).toBe(false);
  });

  it('that are too many are told so, health is answered all the same, and what is beyond that is closed', async () => {
    const connections = await serve(2, { spare: 3 });
    const waits = [await open('/wait'), await open('/wait')];
    await until(() => waiting === 2);
    const refused = await (await open('/small')).readToEnd();
    expect(refused).toMatch(/^HTTP\/1\.1 503 .*\r\nconnection: close\r\n.*retry-after: 5\r\n/is);
    const health = await (await open('/health/live')).readToEnd();
    expect(health).toMatch(/^HTTP\/1\.1 200 .*\r\nconnection: close\r\n.*alive$/is);
    // In a flood of idle connections, the oldest are closed.
    const flood = await Promise.all(Array.from({ length: 50 }, () => open()));
    await until(() => flood.filter((client) => !client.isClosed()).length <= 1);
    expect(await (await open('/health/live')).readToEnd()).toContain('alive');
    expect(connections.open.size).toBeLessThanOrEqual(5);
    expect(waits.map((client) => client.isClosed())).toEqual([false, false]);
    release.forEach((end) => end());
    await until(() => waits.every((client) => client.received().endsWith('waited')));
    expect((await openAnswered()).isClosed()).toBe(false);
  });

  it('with more requests at once than a client has reason for are closed, and nothing is done for those', async () => {
    await serve(10, { unanswered: 20 });
    const good = await open(...Array.from({ length: 20 }, () => '/wait'));
    await until(() => waiting === 20);
    const greedy = await open(...Array.from({ length: 500 }, () => '/wait'));
    await until(greedy.isClosed);
    expect(waiting).toBe(40);
    expect(good.isClosed()).toBe(false);
    // The limit is for unanswered requests: a client may send any number one after the other.
    release.splice(0).forEach((end) => end());
    await until(() => good.received().split('waited').length === 21);
    for (let n = 1; n <= 30; n++) {
      good.socket.write('GET /small HTTP/1.1\r\nHost: x\r\n\r\n');
      await until(() => good.received().split('small').length === n + 1);
    }
  });

  it('on which answers are not read hold so many bytes at most; those with most of them are closed', async () => {
    const connections = await serve(100, { unreadBytes: 4 * LARGE.length });
    const many = await open(...Array.from({ length: 20 }, () => '/large'));
    await until(() => gone(many));
    const patient = await open('/large');
    await sleep(50);
    const unread = (): number => [...connections.open].reduce((sum, { socket }) => sum + socket.writableLength, 0);
    for (let n = 0; n < 12; n++) {
      await open('/large');
      await sleep(10);
      expect(unread()).toBeLessThanOrEqual(4 * LARGE.length);
    }
    let length = 0;
    const quick = await open('/large');
    quick.socket.on('data', (chunk: string) => (length += chunk.length));
    await until(() => length > LARGE.length);
    expect(patient.received()).toBe('');
  });

  it('on which an answer is not read in time are closed, also when it is read a little at a time', async () => {
    await serve(10, { readingMs: 200, bytesPerMs: LARGE.length / 100 });
    const begun = Date.now();
    const [dead, slow, quick] = [await open('/large'), await open('/large'), await open('/large')];
    let length = 0;
    quick.socket.on('data', (chunk: string) => (length += chunk.length));
    const sips = setInterval(() => slow.socket.read(1_000), 20);
    slow.socket.on('readable', () => undefined);
    await until(() => length > LARGE.length);
    await until(() => gone(dead) && gone(slow));
    clearInterval(sips);
    expect(Date.now() - begun).toBeGreaterThan(250);
    expect(quick.isClosed()).toBe(false);
  });

  it('whose answer is read slowly make room for new ones when none is idle', async () => {
    await serve(2, { slowMs: 50 });
    const [slow, waits] = [await open('/large'), await open('/wait')];
    await sleep(150);
    await openAnswered();
    await until(() => gone(slow));
    expect(waits.isClosed()).toBe(false);
  });

  it('on which bodies do not come to an end hold so many bytes at most; who sends in haste is served', async () => {
    await serve(100, { arrivingBytes: 1024 * 1024 });
    const half = async (): Promise<Client> => {
      const client = await open();
      client.socket.write(
        'POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 900000\r\n\r\n',
      );
      client.socket.write('x'.repeat(300_000));
      return client;
    };
    const halves: Client[] = [];
    for (let n = 0; n < 6; n++) {
      halves.push(await half());
      await sleep(60);
    }
    await until(() => halves.filter((client) => client.isClosed()).length === 3);
    expect(halves.map((client) => client.isClosed())).toEqual([true, true, true, false, false, false]);
    halves.at(-1)?.socket.write('x'.repeat(600_000));
    await until(() => halves.at(-1)?.received().endsWith('taken') === true);
  });
});
