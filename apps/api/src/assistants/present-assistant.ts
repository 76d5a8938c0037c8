import type { components } from '#contract/openapi.gen.js';
import type { Assistant } from '#database/entities/assistant.entity.js';

/** An assistant as JSON, without its system prompt. */
export function presentAssistant(assistant: Assistant): components['schemas']['Assistant'] {
  return {
    slug: assistant.slug,
    name: assistant.name,
    description: assistant.description,
    version: assistant.version,
    ...(assistant.retentionDays !== null && { retention_days: assistant.retentionDays }),
  };
}
