import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Module } from '@nestjs/common';
import { setDefaultBackendFactory } from 'bullmq';
import { EntityManager } from 'typeorm';
import { QUEUE_PREFIX, queueConnection, type QueueStore, REPLY_QUEUE } from './connection.js';
import { WorkerWaker } from './worker-waker.js';
import { LoggedQueue, LoggedWorker, storeIsOf } from './store-errors.js';
import { postgresBackend } from './postgres-backend.js';
import { checkQueueSchema } from './queue-schema.js';

/** The queue's producer side. The worker app adds its processor to it. */
@Module({})
export class QueueModule {
  static forRoot(store: QueueStore): DynamicModule {
    storeIsOf(store.redisUrl === undefined ? 'DATABASE_URL' : 'REDIS_URL');
    if (store.redisUrl === undefined) setDefaultBackendFactory(postgresBackend);
    // BullModule's classes apply to the whole process, not to one module. No process has two of these modules.
    BullModule.queueClass = LoggedQueue;
    BullModule.workerClass = LoggedWorker;
    return {
      module: QueueModule,
      imports: [
        BullModule.registerQueue({
          name: REPLY_QUEUE,
          connection: queueConnection(store, 'producer'),
          prefix: QUEUE_PREFIX,
          defaultJobOptions: {
            // The row counts attempts and decides on the next one. BullMQ only delivers.
            attempts: 1,
            removeOnComplete: true,
            removeOnFail: true,
          },
        }),
      ],
      providers: [
        WorkerWaker,
        ...(store.redisUrl === undefined
          ? [{ provide: 'the queue’s schema', useFactory: checkQueueSchema, inject: [EntityManager] }]
          : []),
      ],
      exports: [WorkerWaker, BullModule],
    };
  }
}
