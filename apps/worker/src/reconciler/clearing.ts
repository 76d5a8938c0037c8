import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { line } from '#process/log-line.js';
import { clear } from '#jobs/clear.js';
import { eraseSome, openReceipts } from '#jobs/erase.js';
import { releaseExpired } from '#jobs/release.js';
import { CLEAR_AFTER_SECONDS, CLEAR_MS, PURGE_MS } from '#jobs/timings.js';

/**
 * Removes what is to be removed, from PostgreSQL alone: chats that their assistant keeps no longer, and what requests that deleted
 * something left behind, because there was much of it or they died. Every worker runs it, beside the reconciler, which must
 * not wait for it; many at once take different rows.
 */
@Injectable()
export class Clearing implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Clearing.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private lookedForExpiredAt = 0;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly manager: EntityManager) {}

  onApplicationBootstrap(): void {
    this.schedule();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private schedule(): void {
    if (this.stopped) return;
    // Spread, so that many workers do not look in the same instant.
    this.timer = setTimeout(
      () => {
        this.running = this.look().finally(() => this.schedule());
      },
      CLEAR_MS * (0.75 + Math.random() / 2),
    );
  }

  private async look(): Promise<void> {
    try {
      await this.releaseExpired();
      await this.goOnWithErasures();
      // A batch at a time, each by itself: replies have the connections and the database in between.
      while (!this.stopped && (await clear(this.manager, { afterSeconds: CLEAR_AFTER_SECONDS }))) await sleep(0);
    } catch (error) {
      this.logger.warn(line('cannot clear', {}, error));
    }
  }

  private async releaseExpired(): Promise<void> {
    if (Date.now() < this.lookedForExpiredAt + PURGE_MS) return;
    this.lookedForExpiredAt = Date.now();
    for (let look = { chats: 0, more: true }; look.more && !this.stopped;) {
      look = await releaseExpired(this.manager);
      if (look.chats > 0) this.logger.log(`${look.chats} chats are kept no longer`);
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
