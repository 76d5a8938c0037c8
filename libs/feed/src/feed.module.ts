import { type DynamicModule, Module } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { QueueStore } from '#queue/connection.js';
import { CancelFeed } from './cancel-feed.js';
import { DispatchFeed } from './dispatch-feed.js';
import { JobFeed } from './job-feed.js';
import { Listener } from './listener.js';
import { PostgresReplyFeed } from './postgres-reply-feed.js';
import { RedisListener } from './redis-listener.js';
import { RedisReplyFeed } from './redis-reply-feed.js';
import { type FeedEnd, ReplyFeed } from './reply-feed.js';

/**
 * What a process receives about jobs and about replies that are being written. Replies travel through the queue's store. Notices of a job's
 * state are sent with the commit, so they come from PostgreSQL on both stores.
 */
@Module({})
export class FeedModule {
  static forRoot(store: QueueStore, applicationName: string, end: FeedEnd): DynamicModule {
    const listener = new Listener(store.databaseUrl, applicationName);
    const jobFeed = new JobFeed(listener);
    const providers: DynamicModule['providers'] = [{ provide: JobFeed, useValue: jobFeed }];
    // Only a process that runs jobs needs cancels and the notice that dispatch has resumed.
    if (end === 'writes') {
      providers.push({ provide: CancelFeed, useValue: new CancelFeed(listener) });
      providers.push({ provide: DispatchFeed, useValue: new DispatchFeed(listener) });
    }
    if (store.redisUrl === undefined) {
      providers.push({ provide: ReplyFeed, useValue: new PostgresReplyFeed(listener, end) });
    } else {
      const redis = new RedisListener(store.redisUrl, applicationName);
      const replyFeed = new RedisReplyFeed(redis, end);
      providers.push(
        {
          provide: RedisListener,
          useFactory: () => {
            replyFeed.start();
            return redis;
          },
        },
        { provide: ReplyFeed, useValue: replyFeed },
      );
    }
    providers.push({
      provide: Listener,
      inject: [EntityManager],
      useFactory: async (manager: EntityManager) => {
        await listener.start(manager);
        return listener;
      },
    });
    return {
      module: FeedModule,
      global: true,
      providers,
      exports: [JobFeed, ReplyFeed, ...(end === 'writes' ? [CancelFeed, DispatchFeed] : [])],
    };
  }
}
