import type { components } from '#contract/openapi.gen.js';
import type { JobRow, MessageRow } from '#database/columns.js';
import { presentMessage } from '../messages/present-message.js';

type Schemas = components['schemas'];

/** A job as JSON, with its message. */
export function presentJob(job: JobRow, assistantMessage: MessageRow | null): Schemas['Job'] {
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
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
  };
}
