import { Body, Controller, Get, Headers, Param, Patch, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { EventsQuery } from '#contract/queries.dto.js';
import { UpdateJobRequest } from '#contract/requests.dto.js';
import { isFinal } from '#jobs/states.js';
import { TheCaller, UserId } from '../auth/caller.decorator.js';
import type { Caller } from '../auth/jwt.strategy.js';
import { clientLeft } from '../http/client-left.js';
import type { EventStream } from '../http/event-stream.js';
import { Operation } from '../http/operation.decorator.js';
import { JobId } from '../http/path.pipe.js';
import { type Preconditions, ThePreconditions } from '../http/preconditions.js';
import { applyPreference, Preferences } from '../http/prefer.js';
import { JobEvents } from './job-events.js';
import { type AwaitedJob, JobsService } from './jobs.service.js';
import { END, readEventId } from './text-position.js';
import { presentJob } from './present-job.js';

type Schemas = components['schemas'];

/** When to poll an unfinished job again (`Retry-After`, seconds). */
export const POLL_SECONDS = '1';

@Controller('api/v1/jobs')
export class JobsController {
  constructor(
    private readonly jobs: JobsService,
    private readonly events: JobEvents,
    private readonly preferences: Preferences,
  ) {}

  @Get(':job_id')
  @Operation('getJob', [200, 304, 404, 412, 422])
  async get(
    @TheCaller() { userId, endsAt }: Caller,
    @Param('job_id', JobId) jobId: string,
    @Headers('prefer') prefer: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Job']> {
    const preference = this.preferences.read(prefer);
    const wait = preference.waitSeconds ?? 0;
    const { job, message, toolCalls, atOnce }: AwaitedJob =
      wait > 0
        ? await this.jobs.getAtRest(userId, jobId, wait, clientLeft(reply, endsAt))
        : await this.jobs.get(userId, jobId);
    if (atOnce !== true) applyPreference(reply, preference);
    if (!isFinal(job.status)) void reply.header('retry-after', POLL_SECONDS);
    return presentJob(job, message, toolCalls);
  }

  @Get(':job_id/events')
  @Operation('followJob', [200, 204, 404, 422, 429])
  async follow(
    @TheCaller() { userId, endsAt }: Caller,
    @Param('job_id', JobId) jobId: string,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Query() query: EventsQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<EventStream | undefined> {
    // The header is newer: a client that reconnects automatically repeats its address.
    const from =
      lastEventId === undefined
        ? readEventId('last_event_id', query.last_event_id)
        : readEventId('Last-Event-ID', lastEventId);
    if (from !== END) {
      const slot = await this.events.reserve(userId);
      return this.events.stream({ jobId, userId, requestId: request.id, from, until: endsAt }, slot);
    }
    await this.jobs.get(userId, jobId);
    void reply.status(204);
    return undefined;
  }

  @Patch(':job_id')
  @Operation('updateJob', [200, 404, 409, 412, 413, 415, 422])
  async update(
    @UserId() userId: string,
    @Param('job_id', JobId) jobId: string,
    @Body() _body: UpdateJobRequest, // its one possible content is "canceled"
    @ThePreconditions() preconditions: Preconditions,
  ): Promise<Schemas['Job']> {
    const { job, message } = await this.jobs.cancel(userId, jobId, preconditions);
    return presentJob(job, message);
  }
}
