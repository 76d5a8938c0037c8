import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress, RedisNode } from '#settings/redis-address.js';

/** How long Redis, and a Sentinel, may take for a connection, in milliseconds. */
export const CONNECT_MS = 5_000;

/** How long a Sentinel may take for an answer, in milliseconds; then the next one is asked. */
const SENTINEL_MS = 2_000;

/** How long it is waited when no Sentinel answers, in milliseconds. It is part of the complaint, so it is always the same. */
const NO_SENTINEL_MS = 1_000;

/** How long a node of a Cluster may take to say who has which slots, its connection included, in milliseconds. */
const SLOTS_MS = 3_000;

const RECONNECT_MS = 100;
const LONGEST_RECONNECT_MS = 2_000;

/** When to try again what has failed so many times, in milliseconds from then. */
export const reconnectIn = (tries: number): number => Math.min(tries * RECONNECT_MS, LONGEST_RECONNECT_MS);

/** How one server is reached: the one, the one that Sentinels name, or a node of a Cluster, all but which. */
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
 * A connection that knows nothing of slots: of a Cluster it is to any one of the nodes in its address, and to another each time
 * it is lost. For what has no keys.
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

/** A client of a Cluster, which knows what is where. `options` are those of its connections, one to each node. */
export function clusterRedis({ nodes }: RedisAddress, options: RedisOptions, cluster: ClusterOptions): Cluster {
  return new Cluster(
    nodes.map((node) => ({ ...node })),
    {
      ...cluster,
      redisOptions: options,
      clusterRetryStrategy: reconnectIn,
      slotsRefreshTimeout: SLOTS_MS,
      // With it, ioredis's connect() never ends when the Cluster is found to be down, and BullMQ's worker, which connects anew when a
      // node hangs, waits for it for ever. Without it, commands are answered that the Cluster is down, and tried again.
      enableReadyCheck: false,
      // Names are looked up by each connection, as certificates are made out to names.
      dnsLookup: (host, found) => found(null, host),
    },
  );
}

/**
 * Has a connection's time limit end with the connection. ioredis lets the timer of `socketTimeout` run on when a connection is
 * lost that owed an answer, and then ends the next one by it, however well that is.
 */
export function endTimerWithConnection(redis: Redis): void {
  redis.on('close', () => {
    const timed = redis as unknown as { socketTimeoutTimer: NodeJS.Timeout | undefined };
    clearTimeout(timed.socketTimeoutTimer);
    timed.socketTimeoutTimer = undefined;
  });
}
