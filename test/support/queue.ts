import { createPostgresBackend, Queue, setDefaultBackendFactory } from 'bullmq';
import { QUEUE_PREFIX, queueConnection, REPLY_QUEUE } from '#queue/connection.js';
import type { Stack } from './stack.js';

/** Runs `work` on a stack's queue, as another producer. */
export async function onQueue<T>(stack: Stack, work: (queue: Queue) => Promise<T>): Promise<T> {
  const store = { databaseUrl: stack.databaseUrl, redisUrl: stack.redis?.url };
  if (store.redisUrl === undefined) setDefaultBackendFactory(createPostgresBackend);
  const queue = new Queue(REPLY_QUEUE, { connection: queueConnection(store, 'producer'), prefix: QUEUE_PREFIX });
  queue.on('error', () => undefined);
  try {
    await queue.waitUntilReady();
    return await work(queue);
  } finally {
    await queue.close();
  }
}
