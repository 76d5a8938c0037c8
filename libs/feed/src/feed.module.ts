import { type DynamicModule, Module } from '@nestjs/common';
import { JobFeed } from './job-feed.js';
import { Listener } from './listener.js';
import { type FeedEnd, ReplyFeed } from './reply-feed.js';

/** What a process hears of jobs and of replies in the making, on one connection. */
@Module({})
export class FeedModule {
  static forRoot(databaseUrl: string, applicationName: string, end: FeedEnd): DynamicModule {
    const listener = new Listener(databaseUrl, applicationName);
    const jobFeed = new JobFeed(listener);
    const replyFeed = new ReplyFeed(listener, end);
    return {
      module: FeedModule,
      global: true,
      providers: [
        {
          provide: Listener,
          useFactory: async () => {
            await listener.start();
            return listener;
          },
        },
        { provide: JobFeed, useValue: jobFeed },
        { provide: ReplyFeed, useValue: replyFeed },
      ],
      exports: [JobFeed, ReplyFeed],
    };
  }
}
