import { createIORedisClient, RedisConnection, type RedisOptions as BullOptions } from 'bullmq';
import { type Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl, type RedisAddress } from '#settings/redis-address.js';
import { clusterRedis, endTimerWithConnection, reach } from './redis-client.js';

/** What BullMQ hands on with ioredis's options, and what is not for ioredis. */
interface Ours {
  readonly address: RedisAddress;
  readonly role: 'producer' | 'worker';
  readonly reached: (redis: Redis) => void;
}

/** Redirections that a producer follows: as many as one slot's move needs. A worker has time for all that ioredis offers. */
const PRODUCER_REDIRECTIONS = 3;

/**
 * What BullMQ connects to on Redis.
 *
 * It makes and ends its connections itself, one for commands and one for waiting, but has them made here
 * (`RedisConnection.clientFactory`, which it has once for a process): given options it would know of no Cluster, and given a client
 * it would share it, and leave it to others to close.
 *
 * `reached` is called with each connection of a producer that is ready, in a Cluster with each node's.
 */
export function redisQueueConnection(url: string, role: Ours['role'], reached: Ours['reached']): BullOptions {
  RedisConnection.clientFactory = (options) => createIORedisClient(queueClient(options));
  const producer = role === 'producer';
  const address = parseRedisUrl(url);
  const ours: Ours = { address, role, reached };
  const options: RedisOptions & { ours: Ours } = {
    ...reach(address),
    ours,
    enableOfflineQueue: !producer,
    maxRetriesPerRequest: producer ? 1 : null,
    // A connection that owes an answer and has fallen silent is made anew. A worker's wait for a ticket lasts up to 10 s.
    socketTimeout: producer ? 5_000 : 20_000,
    // It was the primary, and another is now: its name, or the Sentinels, lead there.
    reconnectOnError: (error) => error.message.includes('READONLY'),
  };
  return options as BullOptions;
}

function queueClient({ ours, ...options }: RedisOptions & { ours?: Ours }): Redis | Cluster {
  if (ours === undefined) throw new Error('BullMQ was given options that are not from queueConnection().');
  const { address, role, reached } = ours;
  const attend = (redis: Redis): void => {
    endTimerWithConnection(redis);
    if (role === 'producer') redis.on('ready', () => reached(redis));
  };
  if (address.kind === 'cluster') {
    const cluster = clusterRedis(address, options, {
      enableOfflineQueue: options.enableOfflineQueue ?? true,
      ...(role === 'producer' && { maxRedirections: PRODUCER_REDIRECTIONS }),
    });
    cluster.on('+node', attend);
    return cluster;
  }
  const redis = new Redis(options);
  attend(redis);
  return redis;
}
