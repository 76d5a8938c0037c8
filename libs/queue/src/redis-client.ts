import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress, RedisNode } from '#settings/redis-address.js';

/** How long Redis or a Sentinel may take to connect, in milliseconds. */
export const CONNECT_MS = 5_000;

/** How long a Sentinel may take to answer, in milliseconds. Then the next one is asked. */
const SENTINEL_MS = 2_000;

/**
 * Wait if no Sentinel has answered, in milliseconds. It is constant because the error message contains it, and the same message is logged
 * less often.
 */
const NO_SENTINEL_MS = 1_000;

/** How long a node of a Cluster may take to connect and to report which node has which slots, in milliseconds. */
const SLOTS_MS = 3_000;

const RECONNECT_MS = 100;
const LONGEST_RECONNECT_MS = 2_000;

/** Wait after this many failures, in milliseconds. */
export const reconnectIn = (tries: number): number => Math.min(tries * RECONNECT_MS, LONGEST_RECONNECT_MS);

/** Options for a connection to one server: a single one, one that Sentinels name, or a node of a Cluster. */
export function reach(address: RedisAddress): RedisOptions {
  const { kind, nodes, username, password, db, sentinel } = address;
  const tls = address.tls ? {} : undefined;
  return {
    ...(kind === 'server' && nodes[0]),
    ...(sentinel !== undefined && {
      sentinels: nodes.map((node) => ({ ...node })),
      name: sentinel.primary,
      sentinelUsername: sentinel.username,
      sentinelPassword: sentinel.password,
      sentinelCommandTimeout: SENTINEL_MS,
      sentinelRetryStrategy: () => NO_SENTINEL_MS,
      sentinelTLS: tls,
      enableTLSForSentinelMode: address.tls,
    }),
    username,
    password,
    db,
    tls,
    connectTimeout: CONNECT_MS,
    keepAlive: 10_000,
    retryStrategy: reconnectIn,
  };
}

/**
 * A connection that knows no slots, for commands without keys. In a Cluster it leads to any node of the address, and to another node each
 * time it is lost.
 */
export function plainRedis(address: RedisAddress, options: RedisOptions): Redis {
  if (address.kind !== 'cluster') return new Redis({ ...reach(address), ...options });
  const { nodes } = address;
  let at = Math.floor(Math.random() * nodes.length);
  const node = (): RedisNode => nodes[at % nodes.length] ?? nodes[0];
  const redis = new Redis({
    ...reach(address),
    ...node(),
    ...options,
    retryStrategy: (tries) => {
      at += 1;
      Object.assign(redis.options, node());
      return reconnectIn(tries);
    },
  });
  return redis;
}

/** A client of a Cluster, which knows the slots. `options` are those of its connections, one to each node. */
export function clusterRedis({ nodes }: RedisAddress, options: RedisOptions, cluster: ClusterOptions): Cluster {
  return new Cluster(
    nodes.map((node) => ({ ...node })),
    {
      ...cluster,
      redisOptions: options,
      clusterRetryStrategy: reconnectIn,
      slotsRefreshTimeout: SLOTS_MS,
      // With this check, ioredis's connect() never ends if the Cluster is down, and BullMQ's worker, which reconnects when a node hangs,
      // waits for ever. Without the check, commands fail while the Cluster is down, and are tried again.
      enableReadyCheck: false,
      // Each connection looks up names itself, since certificates are for names.
      dnsLookup: (host, found) => found(null, host),
    },
  );
}

/**
 * Ends a connection's timer with the connection. If a connection is lost while an answer is due, ioredis does not stop the timer of
 * `socketTimeout`, which then ends the next connection (https://github.com/redis/ioredis/issues/2147). ioredis 6 ends the timer itself.
 */
export function endTimerWithConnection(redis: Redis): void {
  redis.on('close', () => {
    const timed = redis as unknown as { socketTimeoutTimer: NodeJS.Timeout | undefined };
    clearTimeout(timed.socketTimeoutTimer);
    timed.socketTimeoutTimer = undefined;
  });
}
