import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { keepFirstError } from './first-error.js';

/** A message of PostgreSQL's protocol. */
function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const LOGGED_IN = message('R', Buffer.from([0, 0, 0, 0]));
const READY = message('Z', Buffer.from('I'));
const OVER = message('E', Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0'));

class Client extends pg.Client {
  constructor(options?: pg.ClientConfig) {
    super(options);
    keepFirstError(this);
  }
}

describe('a connection to PostgreSQL', () => {
  it.each(['a client', 'a pool'])('that ends in the moment it is made ends no process: %s', async (who) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(Buffer.concat([LOGGED_IN, READY, OVER])));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const options = { host: '127.0.0.1', port, user: 'a', database: 'a', password: 'a' };
    const pool = new pg.Pool({ ...options, Client });
    pool.on('error', () => undefined);
    const client = new Client(options);
    const ours = who === 'a pool' ? await pool.connect() : client;
    if (ours === client) await client.connect();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const received: Error[] = [];
    ours.on('error', (error) => received.push(error));
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(received).toHaveLength(1);
    await expect(ours.query('SELECT 1')).rejects.toThrow();
    if (ours !== client) (ours as pg.PoolClient).release(true);
    await pool.end();
    server.close();
  });
});
