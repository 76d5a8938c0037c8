import type { components } from '#contract/openapi.gen.js';
import type { Chat } from '#database/entities/chat.entity.js';

/** A chat as JSON. */
export function presentChat(chat: Chat): components['schemas']['Chat'] {
  return {
    id: chat.id,
    assistant: chat.assistantSlug,
    status: chat.status,
    title: chat.title,
    metadata: chat.metadata,
    unfinished_job_id: chat.unfinishedJobId,
    created_at: chat.createdAt.toISOString(),
    updated_at: chat.updatedAt.toISOString(),
    last_message_at: chat.lastMessageAt.toISOString(),
  };
}
