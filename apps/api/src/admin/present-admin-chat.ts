import type { components } from '#contract/openapi.gen.js';
import type { Chat } from '#database/entities/chat.entity.js';

/** A chat as operators see it, without any text. The numbers of a chat's messages have no gaps, so the last number is their count. */
export function presentAdminChat(chat: Chat): components['schemas']['AdminChat'] {
  return {
    id: chat.id,
    user_id: chat.userId ?? '',
    assistant: chat.assistantSlug,
    status: chat.status,
    messages: chat.lastSeq,
    unfinished_job_id: chat.unfinishedJobId,
    created_at: chat.createdAt.toISOString(),
    updated_at: chat.updatedAt.toISOString(),
    last_message_at: chat.lastMessageAt.toISOString(),
  };
}
