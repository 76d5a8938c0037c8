import { Body, Get, Param, Patch, Query } from '@nestjs/common';
import { AdminJobsQuery, UpdateAdminJobRequest } from '#contract/admin.dto.js';
import type { components } from '#contract/openapi.gen.js';
import { UserId } from '../auth/caller.decorator.js';
import { Operation } from '../http/operation.decorator.js';
import { JobId } from '../http/path.pipe.js';
import { type Preconditions, ThePreconditions } from '../http/preconditions.js';
import { ForOperators } from './admin.decorator.js';
import { AdminJobsService } from './admin-jobs.service.js';
import { presentAdminJob, presentAdminJobDetail } from './present-admin-job.js';

type Schemas = components['schemas'];

@ForOperators('jobs')
export class AdminJobsController {
  constructor(private readonly jobs: AdminJobsService) {}

  @Get()
  @Operation('listAdminJobs', [200, 304, 404, 412, 422])
  async list(@Query() query: AdminJobsQuery): Promise<Schemas['AdminJobPage']> {
    const { jobs, hasMore, before, after } = await this.jobs.list(query);
    return { data: jobs.map(presentAdminJob), has_more: hasMore, before, after };
  }

  @Get(':job_id')
  @Operation('getAdminJob', [200, 304, 404, 412, 422])
  async get(@Param('job_id', JobId) jobId: string): Promise<Schemas['AdminJobDetail']> {
    return presentAdminJobDetail(await this.jobs.get(jobId));
  }

  @Patch(':job_id')
  @Operation('updateAdminJob', [200, 404, 409, 412, 413, 415, 422])
  async update(
    @UserId() userId: string,
    @Param('job_id', JobId) jobId: string,
    @Body() { status }: UpdateAdminJobRequest,
    @ThePreconditions() preconditions: Preconditions,
  ): Promise<Schemas['AdminJobDetail']> {
    // The check needs no lock. Only a failed job is put back, and only a requeue changes a failed job; any other job can only go forward.
    if (preconditions.any) preconditions.assertMayChange(presentAdminJobDetail(await this.jobs.get(jobId)));
    const change = status === 'queued' ? this.jobs.requeue(jobId, userId) : this.jobs.cancel(jobId, userId);
    return presentAdminJobDetail(await change);
  }
}
