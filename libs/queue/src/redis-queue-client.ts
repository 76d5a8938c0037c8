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

/** Redirections in a Cluster that a producer follows: as many as one slot's move needs. A worker has time. */
const PRODUCER_REDIRECTIONS = 3;
const WORKER_REDIRECTIONS = 16;

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
    // A producer becomes impatient later on.
    maxRetriesPerRequest: null,
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
 * Calls `then` once a new client has told BullMQ of its server (`INFO`). That is the first question, before which there is no
 * other; and what comes of it BullMQ keeps for ever, be it a failure. So until then a producer is as patient as a worker: else
 * one whose Redis dies as soon as it is reached would refuse every ticket until the process is started anew.
 */
function afterFirstInfo(client: Redis | Cluster, then: () => void): void {
  const ask = client.info.bind(client) as (...args: unknown[]) => Promise<string>;
  const heard = async (): Promise<string> => {
    const said = await ask();
    then();
    return said;
  };
  // With a callback it is ioredis that asks, whether the server is ready.
  client.info = (...args: unknown[]) => (args.length > 0 ? ask(...args) : heard());
}
