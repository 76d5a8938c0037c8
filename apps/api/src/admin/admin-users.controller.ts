import { Body, Delete, Get, Headers, HttpCode, Logger, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { NoFields } from '#contract/requests.dto.js';
import { UserTags } from '#database/user-tags.js';
import { type LogFields, logLine } from '#process/log-line.js';
import { TheCaller } from '../auth/caller.decorator.js';
import type { Caller } from '../auth/jwt.strategy.js';
import type { LineStream } from '../http/line-stream.js';
import { Operation } from '../http/operation.decorator.js';
import { UserName } from '../http/path.pipe.js';
import { ErasureAnswers } from '../me/erasure-answers.js';
import { ExportService } from '../me/export.service.js';
import { ForOperators } from './admin.decorator.js';

/** All of a user's data, for operators. */
@ForOperators('users')
export class AdminUsersController {
  private readonly logger = new Logger(AdminUsersController.name);

  constructor(
    private readonly erasures: ErasureAnswers,
    private readonly exports: ExportService,
    private readonly users: UserTags,
  ) {}

  @Delete(':user')
  @HttpCode(200)
  @Operation('deleteUser', [200, 202, 404, 413, 415, 422])
  async delete(
    @TheCaller() operator: Caller,
    @Param('user', UserName) userId: string,
    @Body() _body: NoFields,
    @Headers('prefer') prefer: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<components['schemas']['Receipt']> {
    this.logger.warn(logLine('an operator requested an erasure', this.who(operator, userId)));
    return this.erasures.answer(reply, userId, prefer, operator.endsAt);
  }

  @Get(':user/export')
  @Operation('exportUser', [200, 404, 422, 429])
  async export(@TheCaller() operator: Caller, @Param('user', UserName) userId: string): Promise<LineStream> {
    const stream = await this.exports.open(userId, operator.endsAt, operator.userId);
    this.logger.warn(logLine('an operator requested an export', this.who(operator, userId)));
    return stream;
  }

  private who(operator: Caller, userId: string): LogFields {
    return { user: this.users.tagOf(userId), operator: this.users.tagOf(operator.userId) };
  }
}
