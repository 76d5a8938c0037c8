import { Body, Get, Param, Patch } from '@nestjs/common';
import type { components } from '#contract/openapi.gen.js';
import { UpdateToolCallRequest } from '#contract/requests.dto.js';
import { UserId } from '../auth/caller.decorator.js';
import { Operation } from '../http/operation.decorator.js';
import { JobId, ToolCallId } from '../http/path.pipe.js';
import { presentToolCall } from '../jobs/present-tool-call.js';
import { readDecision } from '../jobs/tool-call-decision.js';
import { ToolCallsService } from '../jobs/tool-calls.service.js';
import { ForOperators } from './admin.decorator.js';
import { AdminJobsService } from './admin-jobs.service.js';

type Schemas = components['schemas'];

/** Decisions in the place of a user: by a supervisor, or by the back end of a front-end. */
@ForOperators('jobs/:job_id/tool-calls')
export class AdminToolCallsController {
  constructor(
    private readonly jobs: AdminJobsService,
    private readonly calls: ToolCallsService,
  ) {}

  @Get()
  @Operation('listAdminToolCalls', [200, 304, 404, 412, 422])
  async list(@Param('job_id', JobId) jobId: string): Promise<Schemas['ToolCallList']> {
    const { job } = await this.jobs.get(jobId);
    return { data: (await this.calls.list(job.userId, jobId)).map(presentToolCall) };
  }

  @Patch(':call_id')
  @Operation('updateAdminToolCall', [200, 404, 409, 413, 415, 422])
  async update(
    @UserId() operatorId: string,
    @Param('job_id', JobId) jobId: string,
    @Param('call_id', ToolCallId) callId: string,
    @Body() body: UpdateToolCallRequest,
  ): Promise<Schemas['ToolCall']> {
    const decider = { by: operatorId, isOperator: true };
    return presentToolCall(await this.calls.decide(jobId, callId, decider, readDecision(body)));
  }
}
