import type { components } from '#contract/openapi.gen.js';
import type { ToolCallRow } from '#jobs/tool-calls.js';

/** A tool call as JSON. The parts of a message have the same fields (the function `tool_call_json` of the database). */
export function presentToolCall(call: ToolCallRow): components['schemas']['ToolCall'] {
  return {
    id: call.id,
    step: call.step,
    name: call.name,
    input: call.input as Record<string, unknown>,
    status: call.status,
    result: call.result,
    is_error: call.isError,
    reason: call.reason,
    ...(call.resultSchema !== null && { result_schema: call.resultSchema }),
    created_at: call.createdAt.toISOString(),
    decided_at: call.decidedAt?.toISOString() ?? null,
    ended_at: call.endedAt?.toISOString() ?? null,
  };
}
