import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { logLine } from '#process/log-line.js';
import { clear } from '#erasure/clear.js';
import { eraseSome, openReceipts } from '#erasure/erase.js';
import { releaseExpired } from '#erasure/release.js';
import { CLEAR_AFTER_SECONDS, CLEAR_MS, PURGE_MS } from '#jobs/timings.js';
import { Periodic } from './periodic.js';

/**
 * Deletes chats that are older than their assistant's retention, and clears rows that a deleting request left behind because there were
 * many or its process died. Each worker does this; several at once take different rows. It is separate from the reconciler, which must not
 * wait for it.
 */
@Injectable()
export class Clearing implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Clearing.name);
  private readonly periodic = new Periodic(
    CLEAR_MS,
    () => this.clear(),
    (error) => this.logger.warn(logLine('cannot clear', {}, error)),
  );
  private expiredReadAt = 0;

  constructor(private readonly manager: EntityManager) {}

  onApplicationBootstrap(): void {
    this.periodic.start();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.periodic.stop();
  }

  private async clear(): Promise<void> {
    await this.releaseExpired();
    await this.goOnWithErasures();
    // Each batch is a separate transaction, so that turns get connections in between.
    while (!this.periodic.isStopping && (await clear(this.manager, { afterSeconds: CLEAR_AFTER_SECONDS })))
      await sleep(0);
  }

  private async releaseExpired(): Promise<void> {
    if (Date.now() < this.expiredReadAt + PURGE_MS) return;
    this.expiredReadAt = Date.now();
    for (let released = { chats: 0, more: true }; released.more && !this.periodic.isStopping;) {
      released = await releaseExpired(this.manager);
      if (released.chats > 0) this.logger.log(`released ${released.chats} chats: their retention has ended`);
    }
  }

  private async goOnWithErasures(): Promise<void> {
    for (const receipt of await openReceipts(this.manager)) {
      let step = 'more';
      while (step === 'more' && !this.periodic.isStopping)
        step = await eraseSome(this.manager, receipt, CLEAR_AFTER_SECONDS);
      if (step === 'done') this.logger.log(`erasure finished receipt=${receipt.id}`);
    }
  }
}
