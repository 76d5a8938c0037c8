import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { NoFields } from '#contract/requests.dto.js';
import { TheCaller, UserId } from '../auth/caller.decorator.js';
import type { Caller } from '../auth/jwt.strategy.js';
import type { LineStream } from '../http/line-stream.js';
import { tellLocation } from '../http/location.js';
import { Operation } from '../http/operation.decorator.js';
import { ReceiptId } from '../http/path.pipe.js';
import { applyPreference, Preferences } from '../http/prefer.js';
import { ExportService } from './export.service.js';
import { MeService } from './me.service.js';
import { presentReceipt } from './present-receipt.js';

type Schemas = components['schemas'];

/** How long a request waits for all to be removed unless it says so, in seconds: less than what is on the way allows. */
const WAIT_SECONDS = 20;

/** When to ask again for a receipt that has not ended (`Retry-After`, seconds). */
const ASK_AGAIN_SECONDS = '5';

/** All that is the caller's. */
@Controller('api/v1')
export class MeController {
  constructor(
    private readonly me: MeService,
    private readonly exports: ExportService,
    private readonly preferences: Preferences,
  ) {}

  @Delete('me')
  @HttpCode(200)
  @Operation('deleteMe', [200, 202, 413, 415, 422])
  async delete(
    @TheCaller() { userId, endsAt }: Caller,
    @Body() _body: NoFields,
    @Headers('prefer') prefer: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Receipt']> {
    const preference = this.preferences.read(prefer);
    const seconds = preference.waitSeconds ?? Math.min(WAIT_SECONDS, this.preferences.longestSeconds);
    const receipt = await this.me.erase(userId, Math.min(Date.now() + seconds * 1_000, endsAt));
    applyPreference(reply, preference);
    if (receipt.endedAt === null) {
      void tellLocation(reply.status(202), `receipts/${receipt.id}`).header('retry-after', ASK_AGAIN_SECONDS);
    }
    return presentReceipt(receipt);
  }

  @Get('receipts/:receipt_id')
  @Operation('getReceipt', [200, 304, 404, 412, 422])
  async receipt(
    @UserId() userId: string,
    @Param('receipt_id', ReceiptId) receiptId: string,
  ): Promise<Schemas['Receipt']> {
    return presentReceipt(await this.me.receipt(userId, receiptId));
  }

  @Get('me/export')
  @Operation('exportMe', [200, 422, 429])
  export(@TheCaller() { userId, endsAt }: Caller): Promise<LineStream> {
    return this.exports.open(userId, endsAt);
  }
}
