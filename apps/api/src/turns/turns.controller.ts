import { Body, Controller, Headers, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { TurnRequest } from '#contract/requests.dto.js';
import { isFinal } from '#jobs/states.js';
import { UserId } from '../auth/user-id.decorator.js';
import { clientLeft } from '../http/client-left.js';
import { Operation } from '../http/operation.decorator.js';
import { ChatId, ChatSpace } from '../http/path.pipe.js';
import { applyPreference, LONGEST_WAIT_SECONDS, readPreference } from '../http/prefer.js';
import { POLL_SECONDS } from '../jobs/jobs.controller.js';
import { presentJob } from '../jobs/present-job.js';
import { presentMessage } from '../messages/present-message.js';
import { replyOf, type TurnOrigin, TurnsService } from './turns.service.js';

type Schemas = components['schemas'];

const STATUSES = [200, 202, 404, 409, 413, 415, 422, 502];

/** Turns, by the chat's own path and by its assistant's. */
@Controller('api/v1')
export class TurnsController {
  constructor(private readonly turns: TurnsService) {}

  @Post('chats/:chat_id/turns')
  @Operation('createTurn', STATUSES)
  send(
    @UserId() userId: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: TurnRequest,
    @Headers('prefer') prefer: string | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Turn'] | Schemas['Job']> {
    return this.answer({ userId, chatId, assistantSlug: undefined, requestId: request.id }, body, prefer, reply);
  }

  @Post('assistants/:slug/chats/:chat_id/turns')
  @Operation('createAssistantChatTurn', STATUSES)
  sendScoped(
    @UserId() userId: string,
    @Param('slug', ChatSpace) slug: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: TurnRequest,
    @Headers('prefer') prefer: string | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Turn'] | Schemas['Job']> {
    return this.answer({ userId, chatId, assistantSlug: slug, requestId: request.id }, body, prefer, reply);
  }

  private async answer(
    origin: TurnOrigin,
    body: TurnRequest,
    prefer: string | undefined,
    reply: FastifyReply,
  ): Promise<Schemas['Turn'] | Schemas['Job']> {
    const preference = readPreference(prefer);
    const sent = await this.turns.send(origin, body, preference.waitSeconds ?? LONGEST_WAIT_SECONDS, clientLeft(reply));
    applyPreference(reply, preference);
    if (!isFinal(sent.job.status)) {
      void reply.status(202).header('location', `/api/v1/jobs/${sent.job.id}`).header('retry-after', POLL_SECONDS);
      return presentJob(sent.job, sent.message);
    }
    void reply.status(200);
    return {
      user_message: presentMessage(sent.userMessage),
      assistant_message: presentMessage(replyOf(sent)),
      job_id: sent.job.id,
    };
  }
}
