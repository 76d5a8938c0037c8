import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { sendLocation } from '../http/location.js';
import { applyPreference, Preferences } from '../http/prefer.js';
import { MeService } from './me.service.js';
import { presentReceipt } from './present-receipt.js';

/** How long a request waits for the deletion by default, in seconds: less than the time-outs of proxies. */
const WAIT_SECONDS = 20;

/** When a client should ask again for an open receipt (`Retry-After`, seconds). */
const ASK_AGAIN_SECONDS = '5';

/** Deletes all of a user's data, for the user or for an operator, and answers with the receipt. */
@Injectable()
export class ErasureAnswers {
  constructor(
    private readonly me: MeService,
    private readonly preferences: Preferences,
  ) {}

  /** @param endsAt when the caller's token ends: the request waits no longer than that */
  async answer(
    reply: FastifyReply,
    userId: string,
    prefer: string | undefined,
    endsAt: number,
  ): Promise<components['schemas']['Receipt']> {
    const preference = this.preferences.read(prefer);
    const seconds = preference.waitSeconds ?? Math.min(WAIT_SECONDS, this.preferences.longestSeconds);
    const receipt = await this.me.erase(userId, Math.min(Date.now() + seconds * 1_000, endsAt));
    applyPreference(reply, preference);
    if (receipt.endedAt === null) {
      void sendLocation(reply.status(202), `receipts/${receipt.id}`).header('retry-after', ASK_AGAIN_SECONDS);
    }
    return presentReceipt(receipt);
  }
}
