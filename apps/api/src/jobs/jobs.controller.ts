import { Body, Controller, Get, Headers, Param, Patch, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { components } from '#contract/openapi.gen.js';
import { ReplyRequest, UpdateJobRequest } from '#contract/requests.dto.js';
import { isFinal } from '#jobs/states.js';
import { UserId } from '../auth/user-id.decorator.js';
import { clientLeft } from '../http/client-left.js';
import { Operation } from '../http/operation.decorator.js';
import { JobId } from '../http/path.pipe.js';
import { applyPreference, readPreference } from '../http/prefer.js';
import { JobsService } from './jobs.service.js';
import { presentJob } from './present-job.js';

type Schemas = components['schemas'];

/** When to poll an unfinished job again (`Retry-After`, seconds). */
export const POLL_SECONDS = '1';

@Controller('api/v1/jobs')
export class JobsController {
  constructor(private readonly jobs: JobsService) {}

  @Post('assistant-reply')
  @Operation('requestReply', [202, 404, 409, 413, 415, 422])
  async request(
    @UserId() userId: string,
    @Body() body: ReplyRequest,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Job']> {
    const job = await this.jobs.requestReply(userId, body.chat_id, request.id);
    void reply.status(202).header('location', `/api/v1/jobs/${job.id}`).header('retry-after', POLL_SECONDS);
    return presentJob(job, null);
  }

  @Get(':job_id')
  @Operation('getJob', [200, 304, 404])
  async get(
    @UserId() userId: string,
    @Param('job_id', JobId) jobId: string,
    @Headers('prefer') prefer: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Schemas['Job']> {
    const preference = readPreference(prefer);
    const wait = preference.waitSeconds ?? 0;
    const { job, message } =
      wait > 0 ? await this.jobs.getFinal(userId, jobId, wait, clientLeft(reply)) : await this.jobs.get(userId, jobId);
    applyPreference(reply, preference);
    if (!isFinal(job.status)) void reply.header('retry-after', POLL_SECONDS);
    return presentJob(job, message);
  }

  @Patch(':job_id')
  @Operation('updateJob', [200, 404, 409, 413, 415, 422])
  async update(
    @UserId() userId: string,
    @Param('job_id', JobId) jobId: string,
    @Body() _body: UpdateJobRequest, // its one possible content is "canceled"
  ): Promise<Schemas['Job']> {
    const { job, message } = await this.jobs.cancel(userId, jobId);
    return presentJob(job, message);
  }
}
