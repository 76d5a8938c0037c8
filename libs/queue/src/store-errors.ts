import { Logger } from '@nestjs/common';
import { Queue, Worker } from 'bullmq';
import { SessionLeftError } from '#database/sessions.js';
import { inBrief } from '#process/described-error.js';

/** The same complaint about a store is not logged again for this long, in milliseconds. */
const AGAIN_MS = 30_000;

const logger = new Logger('queue');
const written = new Map<string, number>();

/** The setting that says where the store is, for the log. */
let setting: 'DATABASE_URL' | 'REDIS_URL' = 'DATABASE_URL';

/** Sets the name of the setting of the queue's store. */
export function storeIsOf(name: typeof setting): void {
  setting = name;
}

/** Logs a store's error as a complaint. An outage makes hundreds of the same complaint. */
export function reportStoreError(error: Error): void {
  // The code that leaves sessions logs that itself.
  if (error instanceof SessionLeftError) return;
  const words = inBrief(error);
  if (isNew(words)) logger.warn(`the queue's store (${setting}) is in trouble: ${words}`);
}

/** Logs a fault of a store that its operator must mend. */
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

/* BullMQ's classes, with a listener for errors from the start: BullMQ prints an error without a listener with its stack, past the log. */

export class LoggedQueue extends Queue {
  constructor(...args: ConstructorParameters<typeof Queue>) {
    super(...args);
    this.on('error', reportStoreError);
  }
}

export class LoggedWorker extends Worker {
  constructor(...args: ConstructorParameters<typeof Worker>) {
    super(...args);
    this.on('error', reportStoreError);
  }
}
