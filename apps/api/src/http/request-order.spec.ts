import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { Connections } from './connections.js';
import { keepRequestsInOrder } from './request-order.js';

const post = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

describe('a request that came while others before it on its connection were under way', () => {
  let server: FastifyInstance;
  let done: string[];
  /** Ends the answer of the first request. */
  let release: () => void;
  let begun: Promise<void>;
  let received: Promise<void>;
  let client: Socket;

  beforeEach(async () => {
    done = [];
    server = fastify();
    const connections = new Connections();
    connections.watch(server.server);
    keepRequestsInOrder(server, connections);
    const released = new Promise<void>((resolve) => (release = resolve));
    begun = new Promise((resolve) => {
      server.post('/first', async () => (resolve(), await released, done.push('first'), 'first'));
      server.post('/last', async (_, reply) => {
        resolve();
        await released;
        done.push('last');
        void reply.header('connection', 'close');
        return 'last';
      });
    });
    received = new Promise((resolve) => {
      server.post('/second', async () => (done.push('second'), 'second'));
      server.post('/third', async () => (done.push('third'), resolve(), 'third'));
    });
    await server.listen({ port: 0, host: '127.0.0.1' });
    client = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
    client.resume().on('error', () => undefined);
  });
  afterEach(async () => {
    release();
    client.destroy();
    server.server.closeAllConnections();
    await server.close();
  });

  it('is not done when an answer of theirs ends the connection', async () => {
    client.write(post('/last') + post('/second'));
    await begun;
    release();
    await once(client, 'close');
    expect(done).toEqual(['last']);
  });

  it('waits for them, and is done also when its client has left meanwhile', async () => {
    client.write(post('/first') + post('/second') + post('/third'));
    await begun;
    expect(done).toEqual([]);
    client.resetAndDestroy();
    await received;
    release();
    expect(done).toEqual(['second', 'third']);
  });
});
