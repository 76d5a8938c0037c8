import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type Redis, ReplyError } from 'ioredis';
import { QUEUE_PREFIX } from '#queue/connection.js';
import { reportStoreError, reportStoreFault } from '#queue/store-errors.js';
import { plainRedis } from '#queue/redis-client.js';
import { noChannels } from '#queue/redis-examination.js';
import { isReadOnly } from '#queue/read-only-store.js';
import { parseRedisUrl } from '#settings/redis-address.js';

/** How long Redis may take to answer, in milliseconds. */
const ANSWER_MS = 5_000;

/** Time between two tries to connect, in milliseconds. */
const CHECK_MS = 5_000;

/** Channels in one SUBSCRIBE when all are subscribed to anew. */
const AT_ONCE = 1_000;

/** Receives the messages of channels. */
export interface ChannelSubscriber {
  /** A message arrived. */
  received(channel: string, message: string): void;
  /** Messages may have been lost in either direction, because a connection was down. Both are up now and subscribed. */
  missed(): void;
}

/**
 * A process receives and sends messages through Redis's channels. It has two connections: the client speaks RESP2, in which a connection
 * with subscriptions cannot publish. All subscribers of the process share them.
 *
 * In a Cluster each connection leads to any one node, and to another node if that one is lost: a message to one node reaches all. Redis 7
 * could bind a channel to the node of its slot, but then all messages would depend on that node, and on a client that follows the slot.
 *
 * Messages are hints. While a connection is down they are dropped, and nothing waits to be sent. Neither start nor stop waits for Redis.
 */
@Injectable()
export class RedisChannels implements OnApplicationShutdown {
  /** The subscribed channels, and whether Redis has confirmed each. */
  private readonly channels = new Map<string, Promise<boolean>>();
  private readonly receiving: Redis;
  private readonly sending: Redis;
  private subscriber: ChannelSubscriber | undefined;
  private check: NodeJS.Timeout | undefined;
  /** Whether Redis has confirmed all channels since the connection was made. */
  private subscribed = false;

  private readonly cluster: boolean;

  constructor(redisUrl: string, applicationName: string) {
    this.cluster = parseRedisUrl(redisUrl).kind === 'cluster';
    this.receiving = connection(redisUrl, `${applicationName}-hears`);
    this.sending = connection(redisUrl, `${applicationName}-says`);
    this.receiving.on('message', (channel, message) => this.subscriber?.received(channel, message));
    this.receiving.on('ready', () => void this.listenAgain());
    this.receiving.on('close', () => (this.subscribed = false));
    this.sending.on('ready', () => this.backAgain());
  }

  /** Begins to connect. It does not wait for the connections. */
  start(subscriber: ChannelSubscriber): void {
    this.subscriber = subscriber;
    // The connection's events report a failure, and the client tries again.
    for (const redis of [this.receiving, this.sending]) redis.connect().catch(() => undefined);
    // An idle connection may be dead for hours without a sign.
    this.check = setInterval(() => {
      if (this.receiving.status === 'ready') void answered(this.receiving, this.receiving.ping());
      if (this.sending.status === 'ready') void this.checkWriting();
    }, CHECK_MS);
  }

  /** Subscribes to a channel, now or as soon as Redis is back. */
  join(channel: string): void {
    this.channels.set(channel, this.subscribe([channel]));
  }

  leave(channel: string): void {
    this.channels.delete(channel);
    // A connection that is down has no subscriptions, and the next one subscribes only to the channels that remain.
    if (this.receiving.status === 'ready') void answered(this.receiving, this.receiving.unsubscribe(channel));
  }

  /** Whether Redis has confirmed the subscription to a channel. It resolves within seconds in any case. */
  async listensTo(channel: string): Promise<boolean> {
    return this.channels.get(channel) ?? false;
  }

  /** Sends messages, in order and together. @returns whether Redis took them all, within seconds */
  async publish(messages: readonly (readonly [channel: string, message: string])[]): Promise<boolean> {
    if (this.sending.status !== 'ready') return false;
    const commands = messages.map(([channel, message]) => ['publish', channel, message]);
    const sent = this.sending
      .pipeline(commands)
      .exec()
      .then((answers) => {
        for (const [error] of answers ?? []) if (error !== null) throw error;
      });
    return answered(this.sending, sent);
  }

  onApplicationShutdown(): void {
    clearInterval(this.check);
    // `disconnect` does not wait for a reply to QUIT, which an absent Redis would not send.
    for (const redis of [this.receiving, this.sending]) redis.disconnect();
  }

  /**
   * A new connection has no subscriptions. They are made here and not by the client (`autoResubscribe`): the client does not learn which
   * channels were left while the connection was down, and does not report when it is done.
   */
  private async listenAgain(): Promise<void> {
    const channels = [...this.channels.keys()];
    const confirmed: Promise<boolean>[] = [];
    for (let at = 0; at < channels.length; at += AT_ONCE) {
      const some = channels.slice(at, at + AT_ONCE);
      const subscribed = this.subscribe(some);
      for (const channel of some) this.channels.set(channel, subscribed);
      confirmed.push(subscribed);
    }
    // If it fails, the connection is lost again, and this is repeated.
    this.subscribed = (await Promise.all(confirmed)).every(Boolean);
    this.backAgain();
  }

  /** Only the connection that comes back last reports this: a subscriber asks on one connection and gets the answer on the other. */
  private backAgain(): void {
    if (this.subscribed && this.sending.status === 'ready') this.subscriber?.missed();
  }

  /**
   * Finds out whether the server is a replica, which passes no message on to its primary. The check removes a key that does not exist: a
   * replica refuses that, and a primary accepts it. After a failover the address may lead to another server, so both connections are made
   * anew. In a Cluster any node will do.
   */
  private async checkWriting(): Promise<void> {
    const asked = this.cluster ? this.sending.ping() : this.sending.del(`${QUEUE_PREFIX}:examination`);
    try {
      await asked;
    } catch (error) {
      if (!isReadOnly(error)) return void (await answered(this.sending, asked));
      reportStoreError(error as Error);
      for (const redis of [this.receiving, this.sending]) if (redis.status === 'ready') redis.disconnect(true);
    }
  }

  private async subscribe(channels: readonly string[]): Promise<boolean> {
    if (this.receiving.status !== 'ready') return false;
    return answered(this.receiving, this.receiving.subscribe(...channels));
  }
}

function connection(redisUrl: string, connectionName: string): Redis {
  const redis = plainRedis(parseRedisUrl(redisUrl), {
    connectionName,
    lazyConnect: true,
    // No message waits for an absent Redis, and none is sent twice: it would arrive late, and the offline queue would grow without bound.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    // Not `socketTimeout`: if a connection is lost while an answer is due, its timer runs on and ends the next connection
    // (see `endTimerWithConnection`).
    commandTimeout: ANSWER_MS,
  });
  redis.on('error', reportStoreError);
  return redis;
}

/**
 * Whether Redis has carried out the command. A connection that does not answer in time is replaced: otherwise commands would pile up behind
 * the unanswered one.
 */
async function answered(redis: Redis, asked: Promise<unknown>): Promise<boolean> {
  try {
    await asked;
    return true;
  } catch (error) {
    if (error instanceof ReplyError) reportRefusal(error as Error);
    else if (redis.status === 'ready') redis.stream.destroy();
    return false;
  }
}

function reportRefusal(error: Error): void {
  if (error.message.startsWith('NOPERM')) reportStoreFault(noChannels(QUEUE_PREFIX));
  else reportStoreError(error);
}
