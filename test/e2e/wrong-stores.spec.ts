import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freshDatabase, type TestDatabase } from '../support/database.js';
import { has } from '../support/machine.js';
import { runProgram, startProcess } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { SECRET } from '../support/stack.js';
import { until } from '../support/until.js';

const SETTINGS = { JWT_SECRET: SECRET, PORT: '0', WORKER_PORT: '0', ANTHROPIC_API_KEY: 'none' };
const PROGRAMS = ['api', 'worker', 'migrate'] as const;
const TLS = {
  cert: readFileSync('test/support/tls/localhost-cert.pem'),
  key: readFileSync('test/support/tls/localhost-key.pem'),
};

/** Agrees to encryption, with a self-signed certificate. */
function tlsOfNobody(): Server {
  return createServer((socket) => {
    socket.once('data', () => {
      socket.write('S');
      new TLSSocket(socket, { isServer: true, ...TLS }).on('error', () => undefined);
    });
  });
}

describe('a DATABASE_URL', () => {
  let database: TestDatabase;
  const servers: Server[] = [];
  beforeAll(async () => {
    database = await freshDatabase();
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await database.drop();
  });

  const changed = (change: (url: URL) => void): string => {
    const url = new URL(database.url);
    change(url);
    return url.href;
  };

  /** The address with the port of another server. */
  const leadingTo = async (server: Server, parameters = ''): Promise<string> => {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return changed((url) => {
      url.port = String((server.address() as AddressInfo).port);
      url.search = parameters;
    });
  };

  it.each<[string, (url: URL) => void, string]>([
    ['an unknown host', (url) => (url.hostname = 'nowhere.invalid'), 'there is no host nowhere.invalid'],
    ['a wrong port', (url) => (url.port = '1'), 'nothing listens at 127.0.0.1:1'],
    ['a wrong database', (url) => (url.pathname = 'no_such'), 'the server has no database no_such'],
    [
      'a wrong password',
      (url) => (url.password = 'hush'),
      'the password of rejoinder is wrong, or there is no such user',
    ],
  ])('with %s makes every program print one line that says so', async (_, change, words) => {
    const ended = await Promise.all(
      PROGRAMS.map((program) => runProgram(program, { ...SETTINGS, DATABASE_URL: changed(change) })),
    );
    const printed = `The database of DATABASE_URL cannot be reached: ${words}.\n`;
    expect(ended).toEqual(PROGRAMS.map(() => ({ code: 1, printed })));
  });

  it.each<[string, () => Promise<string> | string, RegExp]>([
    [
      'no password',
      () => changed((url) => (url.password = '')),
      /the server asks for a password, and the address has none/,
    ],
    [
      'TLS that the server refuses',
      () => changed((url) => (url.search = '?sslmode=require')),
      /asks for TLS, and 127\.0\.0\.1:\d+ speaks none/,
    ],
    [
      'an untrusted certificate',
      () => leadingTo(tlsOfNobody(), '?sslmode=verify-full'),
      /signed the certificate of 127\.0\.0\.1:\d+ \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    ],
    ['the port of something else', () => leadingTo(createHttpServer()), /so it may not be PostgreSQL/],
    [
      'a missing socket',
      () => database.url.replace(/@.*\//, '@/') + '?host=/nowhere',
      /there is no socket \/nowhere\/\.s\.PGSQL\.5432/,
    ],
    [
      'a bare % in its password',
      () => database.url.replace('@', '%@'),
      /DATABASE_URL has a % that begins no percent-encoding/,
    ],
  ])('with %s gives a plain message', async (_, address, words) => {
    const { code, printed } = await runProgram('migrate', { ...SETTINGS, DATABASE_URL: await address() });
    expect([code, printed]).toEqual([1, expect.stringMatching(words)]);
    expect(printed).toMatch(
      /^.*DATABASE_URL.*\n$|^Rejoinder cannot start with these settings:\n {2}- DATABASE_URL .*\n$/,
    );
  });

  it('that leads to a socket works', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rejoinder-socket-'));
    const { hostname, port } = new URL(database.url);
    const server = createServer((socket) => {
      const onward = connect(Number(port), hostname);
      socket.pipe(onward).pipe(socket);
      for (const end of [socket, onward]) end.on('error', () => (socket.destroy(), onward.destroy()));
    });
    try {
      server.listen(join(directory, '.s.PGSQL.5432'));
      await once(server, 'listening');
      const address = `${database.url.replace(/@.*\//, '@/')}?host=${directory}`;
      const api = await startProcess('api', { ...SETTINGS, DATABASE_URL: address });
      expect((await fetch(`${api.url}/health/ready`)).status).toBe(200);
      expect(await api.stop()).toBe(0);
      expect((await runProgram('migrate', { DATABASE_URL: address })).printed).toBe('The database is up to date.\n');
    } finally {
      server.close();
      await rm(directory, { recursive: true });
    }
  });
});

describe('a REDIS_URL', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await freshDatabase();
  });
  afterAll(() => database.drop());

  const complaint = async (address: string): Promise<string> => {
    const api = await startProcess('api', { ...SETTINGS, DATABASE_URL: database.url, REDIS_URL: address });
    try {
      return await until(async () => /the queue's store .*/.exec(api.output())?.[0], 'a complaint');
    } finally {
      await api.stop();
    }
  };

  it('with an unknown host is named in the log', async () => {
    expect(await complaint('redis://nowhere.invalid')).toBe(
      "the queue's store (REDIS_URL) is in trouble: getaddrinfo ENOTFOUND nowhere.invalid",
    );
  });

  (has('redis-server') ? it : it.skip)('with a wrong password, or an unknown database, is named', async () => {
    const redis = await startRedis(undefined, ['--requirepass', 'right']);
    try {
      const { host } = new URL(redis.url);
      expect(await complaint(`redis://:wrong@${host}`)).toMatch(/\(REDIS_URL\) is in trouble: WRONGPASS/);
      expect(await complaint(`redis://:right@${host}/99`)).toMatch(
        /\(REDIS_URL\) is in trouble: .*index is out of range/,
      );
    } finally {
      await redis.stop();
    }
  });
});
