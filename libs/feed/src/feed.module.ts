import { type DynamicModule, Module } from '@nestjs/common';
import { JobFeed } from './job-feed.js';

/** One {@link JobFeed} for the whole process. */
@Module({})
export class FeedModule {
  static forRoot(databaseUrl: string, applicationName: string): DynamicModule {
    return {
      module: FeedModule,
      global: true,
      providers: [
        {
          provide: JobFeed,
          useFactory: async () => {
            const feed = new JobFeed(databaseUrl, applicationName);
            await feed.start();
            return feed;
          },
        },
      ],
      exports: [JobFeed],
    };
  }
}
