import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type Redis, ReplyError } from 'ioredis';
import { QUEUE_PREFIX } from '#queue/connection.js';
import { reportStoreError, reportStoreFault } from '#queue/heard.js';
import { plainRedis } from '#queue/redis-client.js';
import { noChannels } from '#queue/redis-examination.js';
import { parseRedisUrl } from '#settings/redis-address.js';

/** How long Redis may take for an answer, in milliseconds. */
const ANSWER_MS = 5_000;

/** How often the connections are tried, in milliseconds. */
const CHECK_MS = 10_000;

/** Channels of one SUBSCRIBE, when all are subscribed to anew. */
const AT_ONCE = 1_000;

/** What comes in. */
export interface Ear {
  /** A message came. */
  heard(channel: string, message: string): void;
  /** Messages may have been missed, in either direction: a connection was down. Both stand now, and hear what they should. */
  missed(): void;
}

/**
 * What a process hears and says by Redis's channels, on two connections: one that has subscribed may say nothing else (so it
 * is in RESP2, which the client speaks). However many clients follow something, they share them.
 *
 * In a Cluster, each is to some node, and to another once that one is lost: what is said to one is heard at all of them. Redis 7
 * could keep a channel to the node of its slot; but then all hangs on that node, and on a client that follows it about.
 *
 * Messages are hints: while a connection is down what is said is dropped, and nothing waits to be sent. Neither start nor stop
 * waits for Redis.
 */
@Injectable()
export class RedisListener implements OnApplicationShutdown {
  /** The channels that are listened to, each with whether Redis has confirmed that it sends them. */
  private readonly channels = new Map<string, Promise<boolean>>();
  private readonly hears: Redis;
  private readonly says: Redis;
  private ear: Ear | undefined;
  private check: NodeJS.Timeout | undefined;
  /** Whether Redis has confirmed all channels since the connection was made. */
  private hearing = false;

  constructor(redisUrl: string, applicationName: string) {
    this.hears = connection(redisUrl, `${applicationName}-hears`);
    this.says = connection(redisUrl, `${applicationName}-says`);
    this.hears.on('message', (channel, message) => this.ear?.heard(channel, message));
    this.hears.on('ready', () => void this.listenAgain());
    this.hears.on('close', () => (this.hearing = false));
    this.says.on('ready', () => this.backAgain());
  }

  /** Begins; the connections come when they can. */
  start(ear: Ear): void {
    this.ear = ear;
    // That one cannot be made is told by its events, and it is tried again.
    for (const redis of [this.hears, this.says]) redis.connect().catch(() => undefined);
    // One that owes nothing may be dead for hours before anybody notices.
    this.check = setInterval(() => {
      for (const redis of [this.hears, this.says]) if (redis.status === 'ready') void answered(redis, redis.ping());
    }, CHECK_MS);
  }

  /** Listens to a channel, now or as soon as Redis is there. */
  join(channel: string): void {
    this.channels.set(channel, this.subscribe([channel]));
  }

  leave(channel: string): void {
    this.channels.delete(channel);
    // On a connection that is down there is nothing to leave: its successor is told of what is left.
    if (this.hears.status === 'ready') void answered(this.hears, this.hears.unsubscribe(channel));
  }

  /** Whether Redis has confirmed that it sends a channel's messages here; resolves within seconds, one way or the other. */
  async listensTo(channel: string): Promise<boolean> {
    return this.channels.get(channel) ?? false;
  }

  /** Says messages, in order and in one go. @returns whether Redis took them all, within seconds */
  async say(messages: readonly (readonly [channel: string, message: string])[]): Promise<boolean> {
    if (this.says.status !== 'ready') return false;
    const commands = messages.map(([channel, message]) => ['publish', channel, message]);
    const said = this.says
      .pipeline(commands)
      .exec()
      .then((answers) => {
        for (const [error] of answers ?? []) if (error !== null) throw error;
      });
    return answered(this.says, said);
  }

  onApplicationShutdown(): void {
    clearInterval(this.check);
    // Nothing is owed: no farewell that a Redis which is away would not answer.
    for (const redis of [this.hears, this.says]) redis.disconnect();
  }

  /**
   * A new connection hears nothing. It is told here what to hear, and not by the client (`autoResubscribe`): that one does not
   * learn which channels were left while the connection was down, and does not say when it is done.
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
    // If not, the connection is lost again, and this is done anew.
    this.hearing = (await Promise.all(confirmed)).every(Boolean);
    this.backAgain();
  }

  /** Said once, by whichever connection is back last: whoever is told asks at once, on one, and is answered on the other. */
  private backAgain(): void {
    if (this.hearing && this.says.status === 'ready') this.ear?.missed();
  }

  private async subscribe(channels: readonly string[]): Promise<boolean> {
    if (this.hears.status !== 'ready') return false;
    return answered(this.hears, this.hears.subscribe(...channels));
  }
}

function connection(redisUrl: string, connectionName: string): Redis {
  const redis = plainRedis(parseRedisUrl(redisUrl), {
    connectionName,
    lazyConnect: true,
    // Nothing waits for a Redis that is away, or is sent twice: it would come late, and without end.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    // Not `socketTimeout`: when a connection is lost that owed an answer, its timer goes on, and ends the next one.
    commandTimeout: ANSWER_MS,
  });
  redis.on('error', reportStoreError);
  return redis;
}

/**
 * Whether Redis has done what it was asked. A connection that does not answer in time is given up, and another is made; else
 * questions would heap up behind the one that has no answer.
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
