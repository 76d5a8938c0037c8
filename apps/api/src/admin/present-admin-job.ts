import type { components } from '#contract/openapi.gen.js';
import type { AdminJob, CallLine } from './admin-jobs.service.js';
import type { AdminJobRow } from './jobs-list.js';
import { why } from './why.js';

type Schemas = components['schemas'];

/** A job as JSON, for operators. It lists each field, so that no text of a chat gets in. */
export function presentAdminJob(job: AdminJobRow): Schemas['AdminJob'] {
  return {
    id: job.id,
    status: job.status,
    assistant: job.assistantSlug,
    assistant_version: job.assistantVersion,
    user_id: job.userId,
    chat_id: job.chatId,
    request_id: job.requestId,
    attempts: job.attempts,
    attempts_left: job.attemptsLeft,
    available_at: job.availableAt.toISOString(),
    lease_until: job.leaseUntil?.toISOString() ?? null,
    error:
      job.errorCode === null
        ? null
        : { code: job.errorCode as Schemas['JobErrorCode'], message: job.errorMessage ?? '' },
    created_at: job.createdAt.toISOString(),
    requeued_at: job.requeuedAt?.toISOString() ?? null,
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
  };
}

/** The same with the reason for its state, and its calls. */
export function presentAdminJobDetail({ job, calls, ...around }: AdminJob): Schemas['AdminJobDetail'] {
  return { ...presentAdminJob(job), why: why(job, around), calls: calls.map(presentCall) };
}

function presentCall(call: CallLine): Schemas['ModelCall'] {
  return {
    attempt: call.attempt,
    step: call.step,
    purpose: call.purpose,
    outcome: call.outcome,
    error_code: call.errorCode as Schemas['JobErrorCode'] | null,
    model: call.model,
    message_id: call.messageId,
    input_tokens: call.inputTokens,
    output_tokens: call.outputTokens,
    cache_read_tokens: call.cacheReadTokens,
    cache_write_tokens: written(call),
    thinking_tokens: call.thinkingTokens,
    server_tools: call.serverTools && { ...call.serverTools },
    cost: call.cost === null ? null : Number(call.cost),
    estimated: call.estimated,
    first_text_ms: call.firstTextMs,
    started_at: call.startedAt.toISOString(),
    ended_at: call.endedAt?.toISOString() ?? null,
  };
}

/** Tokens that the call wrote to the provider's cache, for minutes and for an hour together; null: the model has not reported them. */
function written({ cacheWrite5mTokens, cacheWrite1hTokens }: CallLine): number | null {
  if (cacheWrite5mTokens === null && cacheWrite1hTokens === null) return null;
  return (cacheWrite5mTokens ?? 0) + (cacheWrite1hTokens ?? 0);
}
