import { Queue, setDefaultBackendFactory, Worker } from 'bullmq';
import { QUEUE_PREFIX, queueConnection, type QueueStore, REPLY_QUEUE } from '#queue/connection.js';
import { postgresBackend } from '#queue/postgres-backend.js';
import type { Stack } from './stack.js';
import { until } from './until.js';

/** Runs `work` on a stack's queue, as another producer. */
export async function onQueue<T>(stack: Stack, work: (queue: Queue) => Promise<T>): Promise<T> {
  const store = storeOf(stack);
  const queue = new Queue(REPLY_QUEUE, { connection: queueConnection(store, 'producer'), prefix: QUEUE_PREFIX });
  queue.on('error', () => undefined);
  try {
    await queue.waitUntilReady();
    return await work(queue);
  } finally {
    await queue.close();
  }
}

/** Takes the next ticket and never reports back, like a worker that dies. @returns the ticket's content */
export async function takeTicket(stack: Stack): Promise<unknown> {
  const worker = new Worker(REPLY_QUEUE, null, {
    connection: queueConnection(storeOf(stack), 'worker'),
    prefix: QUEUE_PREFIX,
  });
  worker.on('error', () => undefined);
  try {
    // The service accepts a turn before it makes the ticket, and BullMQ's first look does not wait.
    const ticket = await until(() => worker.getNextJob('nobody', { block: false }), 'a ticket');
    return ticket.data as unknown;
  } finally {
    await worker.close(true);
  }
}

function storeOf(stack: Stack): QueueStore {
  const store = { databaseUrl: stack.databaseUrl, redisUrl: stack.redis?.url };
  if (store.redisUrl === undefined) setDefaultBackendFactory(postgresBackend);
  return store;
}
