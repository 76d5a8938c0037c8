import { EFFORTS, type Model, THINKING_TYPES } from './model.js';

const YES = { supported: true };

const can = (supported: boolean): { supported: boolean } => ({ supported });

/** A model as in `GET /v1/models`. */
export function modelInfo(model: Model): object {
  const { thinking, efforts } = model;
  return {
    type: 'model',
    id: model.id,
    display_name: model.display_name,
    line: model.line,
    created_at: model.created_at,
    lifecycle: model.lifecycle,
    deprecated_at: model.deprecated_at,
    retires_at: model.retires_at,
    max_input_tokens: model.max_input_tokens,
    max_tokens: model.max_tokens,
    capabilities: {
      batch: YES,
      citations: YES,
      code_execution: YES,
      context_management: {
        supported: true,
        clear_thinking_20251015: YES,
        clear_tool_uses_20250919: YES,
        compact_20260112: can(!model.prefill),
      },
      effort: {
        supported: efforts.length > 0,
        ...Object.fromEntries(EFFORTS.map((effort) => [effort, can(efforts.includes(effort))])),
      },
      image_input: YES,
      pdf_input: YES,
      server_tools: { supported: true, web_search: YES, code_execution: YES },
      structured_outputs: YES,
      thinking: {
        supported: thinking.some((type) => type === 'adaptive' || type === 'enabled'),
        types: Object.fromEntries(THINKING_TYPES.map((type) => [type, can(thinking.includes(type))])),
      },
    },
  };
}
