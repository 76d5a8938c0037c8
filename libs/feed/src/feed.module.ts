import { type DynamicModule, Module } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { QueueStore } from '#queue/connection.js';
import { CancelFeed } from './cancel-feed.js';
import { DispatchFeed } from './dispatch-feed.js';
import { JobFeed } from './job-feed.js';
import { PgNotifications } from './pg-notifications.js';
import { PostgresReplyFeed } from './postgres-reply-feed.js';
import { RedisChannels } from './redis-channels.js';
import { RedisReplyFeed } from './redis-reply-feed.js';
import { type FeedEnd, ReplyFeed } from './reply-feed.js';

/**
 * The feeds of a process: states of jobs, and the text of replies that workers are writing. The text travels through the queue's store.
 * Notices of a job's state are sent with the commit, so they come from PostgreSQL on both stores.
 */
@Module({})
export class FeedModule {
  static forRoot(store: QueueStore, applicationName: string, end: FeedEnd): DynamicModule {
    const notifications = new PgNotifications(store.databaseUrl, applicationName);
    const jobFeed = new JobFeed(notifications);
    const providers: DynamicModule['providers'] = [{ provide: JobFeed, useValue: jobFeed }];
    // Only a process that runs jobs needs cancels and the notice that dispatch has resumed.
    if (end === 'writes') {
      providers.push({ provide: CancelFeed, useValue: new CancelFeed(notifications) });
      providers.push({ provide: DispatchFeed, useValue: new DispatchFeed(notifications) });
    }
    if (store.redisUrl === undefined) {
      providers.push({ provide: ReplyFeed, useValue: new PostgresReplyFeed(notifications, end) });
    } else {
      const channels = new RedisChannels(store.redisUrl, applicationName);
      const replyFeed = new RedisReplyFeed(channels, end);
      providers.push(
        {
          provide: RedisChannels,
          useFactory: () => {
            replyFeed.start();
            return channels;
          },
        },
        { provide: ReplyFeed, useValue: replyFeed },
      );
    }
    providers.push({
      provide: PgNotifications,
      inject: [EntityManager],
      useFactory: async (manager: EntityManager) => {
        await notifications.start(manager);
        return notifications;
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
