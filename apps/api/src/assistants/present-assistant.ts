import type { components } from '#contract/openapi.gen.js';
import type { Assistant } from '#database/entities/assistant.entity.js';

/** An assistant on the wire; its system prompt never is. */
export function presentAssistant(assistant: Assistant): components['schemas']['Assistant'] {
  return {
    slug: assistant.slug,
    name: assistant.name,
    description: assistant.description,
    version: assistant.version,
    ...(assistant.retentionDays !== null && { retention_days: assistant.retentionDays }),
  };
}
