import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from './redis.js';
import { steadyPort } from './steady-port.js';
import { until } from './until.js';

/** A group of Redis servers, of which a test can stop one. */
export interface RedisForm {
  readonly url: string;
  /** The server that has the queue's keys now. */
  current(): Promise<RedisServer>;
  stop(): Promise<void>;
}

const PASSWORD = 'p@ss/word';
/** The servers' user and password, as in an address. */
export const CREDENTIALS = `rejoinder:${encodeURIComponent(PASSWORD)}`;

/** The certificate and key of this machine. The certificate is its own authority. */
export const TLS = {
  certificate: resolve('test/support/tls/localhost-cert.pem'),
  key: resolve('test/support/tls/localhost-key.pem'),
};

/** Options for a Redis that speaks TLS on this port and demands no client certificate. */
const tlsArguments = (port: number): string[] => [
  ...['--port', '0', '--tls-port', String(port), '--tls-replication', 'yes', '--tls-auth-clients', 'no'],
  ...['--tls-cert-file', TLS.certificate, '--tls-key-file', TLS.key, '--tls-ca-cert-file', TLS.certificate],
];

/** The Redis user from the operators' page, made by the line that the page shows. */
export async function limitedUser(): Promise<string[]> {
  const page = await readFile('docs/operations/redis.md', 'utf8');
  const line = /^ *ACL SETUSER (rejoinder .*)$/m.exec(page)?.[1];
  if (line === undefined) throw new Error('docs/operations/redis.md has no line ACL SETUSER.');
  return line.replace('>a-long-password', `>${PASSWORD}`).split(' ');
}

/** A Cluster of three primaries on this machine. Our user has no more rights than it needs. */
export async function startCluster(): Promise<RedisForm> {
  const dir = await mkdtemp(join(tmpdir(), 'rejoinder-cluster-'));
  const user = (await limitedUser()).join(' ');
  const nodes = await Promise.all(
    [0, 1, 2].map(async (n) => {
      const [port, bus] = [await steadyPort(), await steadyPort()];
      const server = await startRedis(port, [
        ...[
          '--dir',
          dir,
          '--dbfilename',
          `${n}.rdb`,
          '--cluster-enabled',
          'yes',
          '--cluster-config-file',
          join(dir, `${n}.conf`),
          '--cluster-port',
          String(bus),
        ],
        ...['--cluster-node-timeout', '1000', '--user', ...user.split(' ')],
      ]);
      return { port, bus, server, redis: new Redis(server.url, { maxRetriesPerRequest: null }) };
    }),
  );
  for (const { redis } of nodes) redis.on('error', () => undefined); // tests stop it on purpose
  const call = (n: number, ...command: string[]): Promise<unknown> =>
    nodes[n]?.redis.call('CLUSTER', ...command) ?? Promise.reject(new Error(`There is no node ${n}.`));
  const [third, two] = [5_461, 10_923];
  const slots = [
    [0, third - 1],
    [third, two - 1],
    [two, 16_383],
  ] as const;
  for (const [n, range] of slots.entries()) {
    await call(n, 'SET-CONFIG-EPOCH', String(n + 1));
    await call(n, 'ADDSLOTSRANGE', ...range.map(String));
  }
  for (const { port, bus } of nodes.slice(1)) await call(0, 'MEET', '127.0.0.1', String(port), String(bus));
  for (const n of nodes.keys()) {
    await until(async () => String(await call(n, 'INFO')).includes('cluster_state:ok'), `node ${n} to join`);
  }
  const slot = Number(await call(0, 'KEYSLOT', '{rejoinder}'));
  const owner = nodes[slots.findIndex(([from, to]) => from <= slot && slot <= to)];
  return {
    url: `redis+cluster://${CREDENTIALS}@${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    current: async () => owner?.server as RedisServer,
    stop: async () => {
      for (const { redis } of nodes) redis.disconnect();
      await Promise.all(nodes.map(({ server }) => server.stop()));
      await rm(dir, { recursive: true });
    },
  };
}

/** A primary, a replica and a Sentinel on this machine, with TLS only. The address also names a Sentinel that does not exist. */
export async function startSentinels(): Promise<RedisForm & { readonly serverUrl: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'rejoinder-sentinel-'));
  const user = ['--user', ...(await limitedUser())];
  const start = async (...more: string[]): Promise<{ port: number; server: RedisServer }> => {
    const port = await steadyPort();
    const files = ['--dir', dir, '--dbfilename', `${port}.rdb`];
    return { port, server: await startRedis(port, [...tlsArguments(port), ...files, ...user, ...more]) };
  };
  const first = await start();
  const second = await start('--replicaof', '127.0.0.1', String(first.port));
  const [port, nobody] = [await steadyPort(), await steadyPort()];
  const file = join(dir, 'sentinel.conf');
  const lines = [
    `sentinel monitor myprimary 127.0.0.1 ${first.port} 1`,
    'sentinel down-after-milliseconds myprimary 700',
    'sentinel failover-timeout myprimary 3000',
    'requirepass for-sentinels',
    'bind 127.0.0.1',
    `dir ${dir}`,
  ];
  await writeFile(file, lines.join('\n'));
  const sentinel = spawn('redis-server', [file, '--sentinel', ...tlsArguments(port)], { stdio: 'ignore' });
  const tls = { ca: await readFile(TLS.certificate) };
  const ask = async (...command: string[]): Promise<string[]> => {
    const redis = new Redis({ port, tls, password: 'for-sentinels', retryStrategy: null, maxRetriesPerRequest: 0 });
    redis.on('error', () => undefined);
    try {
      return ((await redis.call('SENTINEL', ...command).catch(() => undefined)) ?? []) as string[];
    } finally {
      redis.disconnect();
    }
  };
  await until(async () => {
    const [replica = []] = (await ask('REPLICAS', 'myprimary')) as unknown as [string[]?];
    return replica[replica.indexOf('master-link-status') + 1] === 'ok';
  }, 'the replica');
  return {
    url: `rediss+sentinel://${CREDENTIALS}@127.0.0.1:${nobody},127.0.0.1:${port}/myprimary?sentinel_password=for-sentinels`,
    serverUrl: `rediss://${CREDENTIALS}@127.0.0.1:${first.port}`,
    current: async () => {
      const [, at] = await ask('GET-MASTER-ADDR-BY-NAME', 'myprimary');
      return (String(first.port) === at ? first : second).server;
    },
    stop: async () => {
      const ended = once(sentinel, 'exit');
      sentinel.kill('SIGKILL');
      await Promise.all([ended, first.server.stop(), second.server.stop()]);
      await rm(dir, { recursive: true });
    },
  };
}
