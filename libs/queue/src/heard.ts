import { Logger } from '@nestjs/common';
import { Queue, Worker } from 'bullmq';
import { inBrief } from '#process/described-error.js';

/** The same words about a store that is away are written again after this long, in milliseconds. */
const AGAIN_MS = 30_000;

const logger = new Logger('queue');
const written = new Map<string, number>();

/** Writes what a queue's store complains of; an outage makes hundreds of the same complaint. */
export function reportStoreError(error: Error): void {
  const words = inBrief(error);
  if (isNew(words)) logger.warn(`the queue's store is in trouble: ${words}`);
}

/** Writes what is wrong with a queue's store and does not pass by itself: its operator must change something. */
export function reportStoreFault(words: string): void {
  if (isNew(words)) logger.error(words);
}

function isNew(words: string): boolean {
  const now = Date.now();
  if (now - (written.get(words) ?? -Infinity) < AGAIN_MS) return false;
  if (written.size > 100) written.clear();
  written.set(words, now);
  return true;
}

/*
 * BullMQ's classes, heard from their first moment on: an error that comes before anybody listens is printed with its
 * stack, past the log.
 */

export class HeardQueue extends Queue {
  constructor(...args: ConstructorParameters<typeof Queue>) {
    super(...args);
    this.on('error', reportStoreError);
  }
}

export class HeardWorker extends Worker {
  constructor(...args: ConstructorParameters<typeof Worker>) {
    super(...args);
    this.on('error', reportStoreError);
  }
}
