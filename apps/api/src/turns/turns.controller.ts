import { Body, Controller, Headers, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { TurnRequest } from '#contract/requests.dto.js';
import type { RequestKey } from '#database/request-key.js';
import { isFinal } from '#jobs/states.js';
import { TheCaller } from '../auth/caller.decorator.js';
import type { Caller } from '../auth/jwt.strategy.js';
import { clientLeft } from '../http/client-left.js';
import type { EventStream } from '../http/event-stream.js';
import { prefersEvents } from '../http/negotiation.js';
import { spanOf } from '../http/request-spans.js';
import { sendLocation } from '../http/location.js';
import { Operation } from '../http/operation.decorator.js';
import { ChatId, ChatSpace } from '../http/path.pipe.js';
import { applyPreference, Preferences } from '../http/prefer.js';
import { sendReplayed, TheRequestKey } from '../idempotency/idempotency-header.js';
import { JobEvents } from '../jobs/job-events.js';
import { POLL_SECONDS } from '../jobs/jobs.controller.js';
import { END, readEventId } from '../jobs/text-position.js';
import { presentJob } from '../jobs/present-job.js';
import { Limits } from '../limits/limits.js';
import { presentMessage } from '../messages/present-message.js';
import { replyOf, type TurnOrigin, TurnsService } from './turns.service.js';

type Schemas = components['schemas'];
type Answer = Schemas['Turn'] | Schemas['Job'] | EventStream | undefined;

const STATUSES = [200, 202, 204, 404, 409, 413, 415, 422, 429, 502];

/** Turns, on the chat's own path and on its assistant's. */
@Controller('api/v1')
export class TurnsController {
  constructor(
    private readonly turns: TurnsService,
    private readonly events: JobEvents,
    private readonly limits: Limits,
    private readonly preferences: Preferences,
  ) {}

  @Post('chats/:chat_id/turns')
  @Operation('createTurn', STATUSES)
  send(
    @TheCaller() caller: Caller,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: TurnRequest,
    @Headers('prefer') prefer: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @TheRequestKey() requestKey: RequestKey | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Answer> {
    const asked = { chatId, assistantSlug: undefined, requestKey };
    return this.answer(caller, asked, body, { prefer, lastEventId }, request, reply);
  }

  @Post('assistants/:slug/chats/:chat_id/turns')
  @Operation('createAssistantChatTurn', STATUSES)
  sendScoped(
    @TheCaller() caller: Caller,
    @Param('slug', ChatSpace) slug: string,
    @Param('chat_id', ChatId) chatId: string,
    @Body() body: TurnRequest,
    @Headers('prefer') prefer: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @TheRequestKey() requestKey: RequestKey | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Answer> {
    const asked = { chatId, assistantSlug: slug, requestKey };
    return this.answer(caller, asked, body, { prefer, lastEventId }, request, reply);
  }

  private async answer(
    caller: Caller,
    asked: Pick<TurnOrigin, 'chatId' | 'assistantSlug' | 'requestKey'>,
    body: TurnRequest,
    { prefer, lastEventId }: Readonly<Record<'prefer' | 'lastEventId', string | undefined>>,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Answer> {
    const origin = { userId: caller.userId, ...asked, requestId: request.id, span: spanOf(request) };
    if (prefersEvents(request)) return this.stream(caller, origin, body, lastEventId, reply);
    const preference = this.preferences.read(prefer);
    // Waiting for 0 seconds differs: if the turn was sent before, the answer is its current state.
    const seconds =
      preference.applied === 'respond-async' ? undefined : (preference.waitSeconds ?? this.preferences.longestSeconds);
    const sent = await this.turns.send(origin, body, seconds, clientLeft(reply, caller.endsAt));
    sendReplayed(reply, sent.replayed);
    this.limits.sendRemaining(reply, sent.allowance);
    if (sent.atOnce !== true) applyPreference(reply, preference);
    if (!isFinal(sent.job.status)) {
      void sendLocation(reply.status(202), `jobs/${sent.job.id}`).header('retry-after', POLL_SECONDS);
      return presentJob(sent.job, sent.message, sent.toolCalls);
    }
    void reply.status(200);
    return {
      type: 'turn',
      user_message: presentMessage(sent.userMessage),
      assistant_message: presentMessage(replyOf(sent)),
      job_id: sent.job.id,
    };
  }

  /** Streams the turn as events. A client that has received some of them gets the rest of the same turn, never another turn. */
  private async stream(
    { userId, endsAt }: Caller,
    origin: TurnOrigin,
    body: TurnRequest,
    lastEventId: string | undefined,
    reply: FastifyReply,
  ): Promise<EventStream | undefined> {
    const from = readEventId('Last-Event-ID', lastEventId);
    if (from === END) {
      sendReplayed(reply, (await this.turns.resume(origin)).replayed);
      void reply.status(204);
      return undefined;
    }
    // The slot is reserved first: without one, the turn must not be accepted.
    const slot = await this.events.reserve(userId);
    try {
      const hasEvents = lastEventId !== undefined && lastEventId !== '';
      const { job, replayed, allowance } = await (hasEvents
        ? this.turns.resume(origin)
        : this.turns.accept(origin, body));
      void sendLocation(reply.status(200), `jobs/${job.id}`);
      const streamed = { jobId: job.id, userId, requestId: origin.requestId, from, until: endsAt };
      const stream = await this.events.stream(streamed, slot, replayed ? undefined : job);
      sendReplayed(reply, replayed);
      this.limits.sendRemaining(reply, allowance);
      return stream;
    } catch (error) {
      slot.leave();
      throw error;
    }
  }
}
