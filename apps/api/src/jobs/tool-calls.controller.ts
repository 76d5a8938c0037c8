import { Body, Controller, Get, Param, Patch } from '@nestjs/common';
import type { components } from '#contract/openapi.gen.js';
import { UpdateToolCallRequest } from '#contract/requests.dto.js';
import { UserId } from '../auth/caller.decorator.js';
import { Operation } from '../http/operation.decorator.js';
import { JobId, ToolCallId } from '../http/path.pipe.js';
import { presentToolCall } from './present-tool-call.js';
import { readDecision } from './tool-call-decision.js';
import { ToolCallsService } from './tool-calls.service.js';

type Schemas = components['schemas'];

@Controller('api/v1/jobs/:job_id/tool-calls')
export class ToolCallsController {
  constructor(private readonly calls: ToolCallsService) {}

  @Get()
  @Operation('listToolCalls', [200, 304, 404, 412, 422])
  async list(@UserId() userId: string, @Param('job_id', JobId) jobId: string): Promise<Schemas['ToolCallList']> {
    return { data: (await this.calls.list(userId, jobId)).map(presentToolCall) };
  }

  @Patch(':call_id')
  @Operation('updateToolCall', [200, 404, 409, 413, 415, 422])
  async update(
    @UserId() userId: string,
    @Param('job_id', JobId) jobId: string,
    @Param('call_id', ToolCallId) callId: string,
    @Body() body: UpdateToolCallRequest,
  ): Promise<Schemas['ToolCall']> {
    const decider = { by: userId, isOperator: false };
    return presentToolCall(await this.calls.decide(jobId, callId, decider, readDecision(body)));
  }
}
