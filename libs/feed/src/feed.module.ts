import { type DynamicModule, Module } from '@nestjs/common';
import { CancelFeed } from './cancel-feed.js';
import { JobFeed } from './job-feed.js';
import { Listener } from './listener.js';
import { type FeedEnd, PostgresReplyFeed } from './postgres-reply-feed.js';
import { ReplyFeed } from './reply-feed.js';

/** What a process hears of jobs and of replies in the making, on one connection. */
@Module({})
export class FeedModule {
  static forRoot(databaseUrl: string, applicationName: string, end: FeedEnd): DynamicModule {
    const listener = new Listener(databaseUrl, applicationName);
    const providers: DynamicModule['providers'] = [
      { provide: JobFeed, useValue: new JobFeed(listener) },
      { provide: ReplyFeed, useValue: new PostgresReplyFeed(listener, end) },
      {
        provide: Listener,
        useFactory: async () => {
          await listener.start();
          return listener;
        },
      },
    ];
    // Cancels are for who runs jobs: the others need not hear of them.
    if (end === 'writes') providers.push({ provide: CancelFeed, useValue: new CancelFeed(listener) });
    return {
      module: FeedModule,
      global: true,
      providers,
      exports: [JobFeed, ReplyFeed, ...(end === 'writes' ? [CancelFeed] : [])],
    };
  }
}
