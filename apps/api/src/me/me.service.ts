import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { Receipt } from '#database/entities/receipt.entity.js';
import { notFound } from '#errors/service-error.js';
import { beginErasure, eraseSome, readReceipt } from '#jobs/erase.js';

/** How often it is looked again while others hold what is left, in milliseconds. */
const LOOK_MS = 50;

/** What concerns all of a user's data. */
@Injectable()
export class MeService implements BeforeApplicationShutdown {
  private readonly logger = new Logger(MeService.name);
  private closing = false;

  constructor(private readonly manager: EntityManager) {}

  /**
   * Removes all that the user has, until `deadline` (milliseconds since the epoch); the workers go on with what is left. Asked again
   * meanwhile, it is the same receipt.
   * @returns the receipt, ended or not
   */
  async erase(userId: string, deadline: number): Promise<Receipt> {
    const begun = await beginErasure(this.manager, userId);
    if (begun.endedAt !== null) return begun;
    this.logger.log(`erasure begun receipt=${begun.id}`);
    while (!this.closing && Date.now() < deadline) {
      const step = await eraseSome(this.manager, begun);
      if (step === 'done') break;
      if (step === 'waits') await sleep(LOOK_MS);
    }
    return (await readReceipt(this.manager, begun.id)) ?? begun;
  }

  /**
   * A receipt: while it is open, the user's; afterwards it names nobody, and is anybody's who knows its id. Operators (no user is
   * given) read any.
   * @throws ServiceError `not_found`
   */
  async receipt(userId: string | undefined, id: string): Promise<Receipt> {
    const receipt = await readReceipt(this.manager, id);
    const isTheirs = receipt?.userId === null || userId === undefined || receipt?.userId === userId;
    if (receipt === undefined || !isTheirs) throw notFound('receipt');
    return receipt;
  }

  /** Who waits is answered with the receipt as it stands. */
  beforeApplicationShutdown(): void {
    this.closing = true;
  }
}
