import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { Receipt } from '#database/entities/receipt.entity.js';
import { notFound } from '#errors/service-error.js';
import { beginErasure, eraseSome, readReceipt } from '#erasure/erase.js';

/** How often an erasure tries again while other sessions hold the rows that are left, in milliseconds. */
const LOOK_MS = 50;

/** Operations on all of a user's data. */
@Injectable()
export class MeService implements BeforeApplicationShutdown {
  private readonly logger = new Logger(MeService.name);
  private closing = false;

  constructor(private readonly manager: EntityManager) {}

  /**
   * Erases the user's data until `deadline` (milliseconds since the epoch). Workers delete the rest. A second request meanwhile gets the
   * same receipt. @returns the receipt, ended or not
   */
  async erase(userId: string, deadline: number): Promise<Receipt> {
    const begun = await beginErasure(this.manager, userId);
    if (begun.endedAt !== null) return begun;
    this.logger.log(`erasure begins receipt=${begun.id}`);
    while (!this.closing && Date.now() < deadline) {
      const step = await eraseSome(this.manager, begun);
      if (step === 'done') break;
      if (step === 'waits') await sleep(LOOK_MS);
    }
    return (await readReceipt(this.manager, begun.id)) ?? begun;
  }

  /**
   * Reads a receipt. While it is open, only its user may read it. A completed one names no user, so any caller who knows its id may read
   * it. Operators may read all receipts (`userId` is undefined). @throws ServiceError `not_found`
   */
  async receipt(userId: string | undefined, id: string): Promise<Receipt> {
    const receipt = await readReceipt(this.manager, id);
    const isTheirs = receipt?.userId === null || userId === undefined || receipt?.userId === userId;
    if (receipt === undefined || !isTheirs) throw notFound('receipt');
    return receipt;
  }

  /** Ends all waits, so that each request is answered with the receipt as it is. */
  beforeApplicationShutdown(): void {
    this.closing = true;
  }
}
