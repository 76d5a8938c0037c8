import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import { clear } from '#erasure/clear.js';
import { eraseSome, openReceipts } from '#erasure/erase.js';
import { releaseExpired } from '#erasure/release.js';
import { CLEAR_AFTER_SECONDS, CLEAR_MS, CLOSE_MS, PURGE_MS } from '#jobs/timings.js';

/**
 * Deletes what is due for deletion: chats that are older than their assistant's retention, and rows that a deleting request left behind
 * because there were many or its process died. Every worker runs it; several at once take different rows. It is apart from the
 * reconciler, which must not wait for it.
 */
@Injectable()
export class Clearing implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Clearing.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private expiredReadAt = 0;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly manager: EntityManager) {}

  onApplicationBootstrap(): void {
    this.schedule();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    // PostgreSQL may have fallen silent. It rolls back what it was asked last.
    await within(CLOSE_MS, this.running, undefined);
  }

  private schedule(): void {
    if (this.stopped) return;
    // Spread, so that many workers do not look at the same moment.
    this.timer = setTimeout(
      () => {
        this.running = this.clearAndRelease().finally(() => this.schedule());
      },
      CLEAR_MS * (0.75 + Math.random() / 2),
    );
  }

  private async clearAndRelease(): Promise<void> {
    try {
      await this.releaseExpired();
      await this.goOnWithErasures();
      // Each batch is a transaction of its own, so that replies get the connections and the database in between.
      while (!this.stopped && (await clear(this.manager, { afterSeconds: CLEAR_AFTER_SECONDS }))) await sleep(0);
    } catch (error) {
      // A process that stops closes the connections of what it no longer waits for.
      if (!this.stopped) this.logger.warn(logLine('cannot clear', {}, error));
    }
  }

  private async releaseExpired(): Promise<void> {
    if (Date.now() < this.expiredReadAt + PURGE_MS) return;
    this.expiredReadAt = Date.now();
    for (let clearAndRelease = { chats: 0, more: true }; clearAndRelease.more && !this.stopped;) {
      clearAndRelease = await releaseExpired(this.manager);
      if (clearAndRelease.chats > 0) this.logger.log(`${clearAndRelease.chats} chats are kept no longer`);
    }
  }

  private async goOnWithErasures(): Promise<void> {
    for (const receipt of await openReceipts(this.manager)) {
      let step = 'more';
      while (step === 'more' && !this.stopped) step = await eraseSome(this.manager, receipt, CLEAR_AFTER_SECONDS);
      if (step === 'done') this.logger.log(`erasure ended receipt=${receipt.id}`);
    }
  }
}
