import { Body, Controller, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { ReplyRequest } from '#contract/requests.dto.js';
import type { RequestKey } from '#database/request-key.js';
import { UserId } from '../auth/caller.decorator.js';
import { sendLocation } from '../http/location.js';
import { Operation } from '../http/operation.decorator.js';
import { spanOf } from '../http/request-spans.js';
import { sendReplayed, TheRequestKey } from '../idempotency/idempotency-header.js';
import { POLL_SECONDS } from '../jobs/jobs.controller.js';
import { presentJob } from '../jobs/present-job.js';
import { Limits } from '../limits/limits.js';
import { RepliesService } from './replies.service.js';

type Schemas = components['schemas'];

/** A reply to the messages that a chat has so far. */
@Controller('api/v1/jobs')
export class RepliesController {
  constructor(
    private readonly replies: RepliesService,
    private readonly limits: Limits,
  ) {}

  @Post('assistant-reply')
  @Operation('requestReply', [202, 404, 409, 413, 415, 422, 429])
  async request(
    @UserId() userId: string,
    @Body() body: ReplyRequest,
    @TheRequestKey() requestKey: RequestKey | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Job']> {
    const origin = {
      userId,
      chatId: body.chat_id.toLowerCase(),
      requestId: request.id,
      span: spanOf(request),
      requestKey,
    };
    const { job, replayed, allowance } = await this.replies.requestReply(origin);
    sendReplayed(reply, replayed);
    this.limits.sendRemaining(reply, allowance);
    void sendLocation(reply.status(202), `jobs/${job.id}`).header('retry-after', POLL_SECONDS);
    return presentJob(job, null);
  }
}
