import type { components } from '#contract/openapi.gen.js';
import type { MessageRow } from '#database/columns.js';

type Schemas = components['schemas'];

/** A message as JSON. Only an assistant's message has a model, a stop reason and usage. */
export function presentMessage(message: MessageRow): Schemas['Message'] {
  return {
    id: message.id,
    chat_id: message.chatId,
    seq: message.seq,
    role: message.role,
    content: message.content,
    ...(message.parts !== null && { parts: message.parts as Schemas['MessagePart'][] }),
    status: message.status,
    job_id: message.jobId,
    metadata: message.metadata,
    created_at: message.createdAt.toISOString(),
    ...(message.leftOutBy !== null && { in_context: false as const }),
    ...(message.role === 'assistant' && {
      model: message.model ?? '',
      stop_reason: message.stopReason ?? '',
      ...(message.assistantVersion !== null && { assistant_version: message.assistantVersion }),
      ...(message.stopDetails !== null && { stop_details: message.stopDetails }),
      usage: {
        input_tokens: message.inputTokens ?? 0,
        output_tokens: message.outputTokens ?? 0,
        ...(message.cacheReadTokens !== null && { cache_read_tokens: message.cacheReadTokens }),
        ...(message.cacheWriteTokens !== null && { cache_write_tokens: message.cacheWriteTokens }),
        ...(message.thinkingTokens !== null && { thinking_tokens: message.thinkingTokens }),
        ...(message.cost !== null && { cost: Number(message.cost) }),
        ...(message.usageEstimated && { estimated: true as const }),
      },
    }),
  };
}
