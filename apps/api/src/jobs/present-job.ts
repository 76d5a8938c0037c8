import type { components } from '#contract/openapi.gen.js';
import type { JobRow, MessageRow } from '#database/columns.js';
import { awaitsPerson, type ToolCallRow } from '#jobs/tool-calls.js';
import { presentMessage } from '../messages/present-message.js';
import { presentToolCall } from './present-tool-call.js';

type Schemas = components['schemas'];

/** A job as JSON, with its message. @param toolCalls at least those that wait for a person, if the job does */
export function presentJob(
  job: JobRow,
  assistantMessage: MessageRow | null,
  toolCalls: readonly ToolCallRow[] = [],
): Schemas['Job'] {
  return {
    id: job.id,
    type: job.type,
    status: job.status,
    chat_id: job.chatId,
    user_message_id: job.userMessageId,
    assistant_version: job.assistantVersion,
    assistant_message: assistantMessage && presentMessage(assistantMessage),
    error:
      job.errorCode === null
        ? null
        : { code: job.errorCode as Schemas['JobError']['code'], message: job.errorMessage ?? '' },
    attempts: job.attempts,
    ...(job.step > 0 && { step: job.step }),
    ...(job.actionSince !== null &&
      job.actionExpiresAt !== null && {
        required_action: {
          since: job.actionSince.toISOString(),
          expires_at: job.actionExpiresAt.toISOString(),
          tool_calls: toolCalls.filter(awaitsPerson).map(presentToolCall),
        },
      }),
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
  };
}
