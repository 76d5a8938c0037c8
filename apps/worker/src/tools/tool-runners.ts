import { Injectable } from '@nestjs/common';
import type { HttpTool, McpTool } from '#database/entities/tool.js';
import { CallSlots, originOf } from './call-slots.js';
import { HttpTools } from './http-tool.js';
import { McpTools } from './mcp-tool.js';
import type { ToolCallRequest } from './tool-call.js';
import type { ToolResult } from './tool-result.js';

/** Runs the tools that workers run, each kind in its way. */
@Injectable()
export class ToolRunners {
  constructor(
    private readonly http: HttpTools,
    private readonly mcp: McpTools,
    private readonly slots: CallSlots,
  ) {}

  /** Waits for room for a call. @returns a function that gives the slot back @throws the signal's reason */
  takeSlot(tool: HttpTool | McpTool, signal: AbortSignal): Promise<() => void> {
    return this.slots.take(originOf(tool.url), signal);
  }

  /** Calls a tool. Faults of the tool are results. @throws the signal's reason */
  run(tool: HttpTool | McpTool, request: ToolCallRequest, signal: AbortSignal): Promise<ToolResult> {
    return tool.run === 'http' ? this.http.run(tool, request, signal) : this.mcp.run(tool, request, signal);
  }
}
