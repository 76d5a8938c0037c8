import { type DynamicModule, Module } from '@nestjs/common';
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
 * What a process hears of jobs, and of replies in the making. Replies go where the queue is; what becomes of jobs leaves with
 * the commit, so it comes from PostgreSQL in either case.
 */
@Module({})
export class FeedModule {
  static forRoot(store: QueueStore, applicationName: string, end: FeedEnd): DynamicModule {
    const listener = new Listener(store.databaseUrl, applicationName);
    const jobFeed = new JobFeed(listener);
    const providers: DynamicModule['providers'] = [{ provide: JobFeed, useValue: jobFeed }];
    // Cancels, and that dispatch goes on, are for who runs jobs: the others need not hear of them.
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
      useFactory: async () => {
        await listener.start();
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
