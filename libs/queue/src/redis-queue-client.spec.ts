import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Queue } from 'bullmq';
import { queueConnection } from './connection.js';

/** A server that answers `INFO` as Redis does, and all else with OK. At the n-th `INFO` it ends, with all its connections. */
async function fakeRedis(endsAt: number, port = 0): Promise<{ port: number; server: Server; ended: Promise<unknown> }> {
  const info = 'redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\nloading:0\r\n';
  const sockets = new Set<Socket>();
  let asked = 0;
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.on('data', (chunk) => {
      for (const command of String(chunk)
        .split(/^\*\d+\r\n/m)
        .slice(1)) {
        if (/^\$4\r\ninfo/i.test(command) && ++asked === endsAt) {
          server.close();
          for (const each of sockets) each.destroy();
          return;
        }
        socket.write(/^\$4\r\ninfo/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
      }
    });
  });
  const ended = once(server, 'close');
  await once(server.listen(port, '127.0.0.1'), 'listening');
  return { port: (server.address() as { port: number }).port, server, ended };
}

describe('the queue of a producer', () => {
  let queue: Queue | undefined;
  afterEach(async () => {
    await queue?.disconnect().catch(() => undefined);
  });

  it.each([1, 2, 3])('is not lost for good with the store that it has just reached (question %s)', async (question) => {
    const first = await fakeRedis(question);
    const store = { databaseUrl: '', redisUrl: `redis://127.0.0.1:${first.port}` };
    queue = new Queue('any', { connection: queueConnection(store, 'producer') });
    queue.on('error', () => undefined);
    await first.ended;
    // Long enough for several tries to connect.
    await new Promise((resolve) => setTimeout(resolve, 700));
    const second = await fakeRedis(0, first.port);
    await queue.waitUntilReady();
    const client = await queue.getBackend().client;
    expect(client.status).toBe('ready');
    second.server.close();
    client.disconnect();
  });
});
