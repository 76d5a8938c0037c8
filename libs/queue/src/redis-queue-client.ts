import { createIORedisClient, RedisConnection, type RedisOptions as BullOptions } from 'bullmq';
import { type Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl, type RedisAddress } from '#settings/redis-address.js';
import { clusterRedis, endTimerWithConnection, reach } from './redis-client.js';

/** Options that BullMQ passes on with ioredis's own, but that ioredis must not get. */
interface Ours {
  readonly address: RedisAddress;
  readonly role: 'producer' | 'worker';
  readonly reached: (redis: Redis) => void;
}

/** Redirections in a Cluster that a producer follows: enough for one slot that moves. A worker has time. */
const PRODUCER_REDIRECTIONS = 3;
const WORKER_REDIRECTIONS = 16;

/**
 * BullMQ's connection to Redis. BullMQ makes and ends its connections itself, one for commands and one for waiting, through this factory
 * (`RedisConnection.clientFactory`, one for a process). With plain options BullMQ could not use a Cluster. A client of ours it would share,
 * and never close.
 *
 * `reached` is called for each connection of a producer that is ready; in a Cluster, for the connection to each node.
 */
export function redisQueueConnection(url: string, role: Ours['role'], reached: Ours['reached']): BullOptions {
  RedisConnection.clientFactory = (options) => createIORedisClient(queueClient(options));
  const producer = role === 'producer';
  const address = parseRedisUrl(url);
  const ours: Ours = { address, role, reached };
  const options: RedisOptions & { ours: Ours } = {
    ...reach(address),
    ours,
    // A producer gets its short limits later.
    maxRetriesPerRequest: null,
    // ioredis replaces a connection that is silent for so long while an answer is due. A worker's wait for a ticket lasts up to 10 s.
    socketTimeout: producer ? 5_000 : 20_000,
    // This server was the primary and is a replica now. Its name, or the Sentinels, lead to the new primary.
    reconnectOnError: (error) => error.message.includes('READONLY'),
  };
  return options as BullOptions;
}

function queueClient({ ours, ...options }: RedisOptions & { ours?: Ours }): Redis | Cluster {
  if (ours === undefined) throw new Error('BullMQ needs the options of queueConnection().');
  const { address, role, reached } = ours;
  const producer = role === 'producer';
  const attend = (redis: Redis): void => {
    endTimerWithConnection(redis);
    if (producer) redis.on('ready', () => reached(redis));
  };
  if (address.kind === 'cluster') {
    const cluster = clusterRedis(address, options, { maxRedirections: producer ? Infinity : WORKER_REDIRECTIONS });
    cluster.on('+node', attend);
    if (producer) {
      afterFirstInfo(cluster, () => {
        Object.assign(cluster.options, { enableOfflineQueue: false, maxRedirections: PRODUCER_REDIRECTIONS });
      });
    }
    return cluster;
  }
  const redis = new Redis(options);
  attend(redis);
  if (producer) {
    afterFirstInfo(redis, () => Object.assign(redis.options, { enableOfflineQueue: false, maxRetriesPerRequest: 1 }));
  }
  return redis;
}

/**
 * Calls `then` once a new client has given BullMQ its server's `INFO`. This is BullMQ's first question, and it keeps the result for ever,
 * even a failure. So a producer is as patient as a worker until then: otherwise a producer whose Redis dies right after the connection
 * would refuse every ticket until the process is restarted.
 */
function afterFirstInfo(client: Redis | Cluster, then: () => void): void {
  const ask = client.info.bind(client) as (...args: unknown[]) => Promise<string>;
  const firstInfo = async (): Promise<string> => {
    const info = await ask();
    then();
    return info;
  };
  // With a callback the call is ioredis's own, which checks whether the server is ready.
  client.info = (...args: unknown[]) => (args.length > 0 ? ask(...args) : firstInfo());
}
