import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { NoFields } from '#contract/requests.dto.js';
import { TheCaller } from '../auth/caller.decorator.js';
import type { Caller } from '../auth/jwt.strategy.js';
import type { LineStream } from '../http/line-stream.js';
import { Operation } from '../http/operation.decorator.js';
import { ReceiptId } from '../http/path.pipe.js';
import { ErasureAnswers } from './erasure-answers.js';
import { ExportService } from './export.service.js';
import { MeService } from './me.service.js';
import { presentReceipt } from './present-receipt.js';

type Schemas = components['schemas'];

/** All of the caller's data. */
@Controller('api/v1')
export class MeController {
  constructor(
    private readonly me: MeService,
    private readonly exports: ExportService,
    private readonly erasures: ErasureAnswers,
  ) {}

  @Delete('me')
  @HttpCode(200)
  @Operation('deleteMe', [200, 202, 413, 415, 422])
  delete(
    @TheCaller() { userId, endsAt }: Caller,
    @Body() _body: NoFields,
    @Headers('prefer') prefer: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Receipt']> {
    return this.erasures.answer(reply, userId, prefer, endsAt);
  }

  @Get('receipts/:receipt_id')
  @Operation('getReceipt', [200, 304, 404, 412, 422])
  async receipt(
    @TheCaller() { userId, scopes }: Caller,
    @Param('receipt_id', ReceiptId) receiptId: string,
  ): Promise<Schemas['Receipt']> {
    return presentReceipt(await this.me.receipt(scopes.has('admin') ? undefined : userId, receiptId));
  }

  @Get('me/export')
  @Operation('exportMe', [200, 422, 429])
  export(@TheCaller() { userId, endsAt }: Caller): Promise<LineStream> {
    return this.exports.open(userId, endsAt);
  }
}
