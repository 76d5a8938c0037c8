import { EFFORTS, type Model } from './model.js';

/** The fields that the models of 2026 share. */
const TODAY = {
  lifecycle: 'active',
  deprecated_at: null,
  retires_at: null,
  max_input_tokens: 1_000_000,
  max_tokens: 128_000,
  thinksUnasked: true,
  efforts: EFFORTS,
  usualEffort: 'high',
  cacheFrom: 512,
  sampling: false,
  prefill: false,
  forcedTools: true,
  boundThinking: false,
} satisfies Partial<Model>;

/** The fields that the models of 2025 share. */
const BEFORE = {
  ...TODAY,
  max_input_tokens: 200_000,
  max_tokens: 64_000,
  thinking: ['enabled', 'disabled'],
  thinksUnasked: false,
  efforts: [],
  cacheFrom: 1_024,
  sampling: true,
  prefill: true,
} satisfies Partial<Model>;

/**
 * Some of today's models, as published in November 2026, the newest first, as the API lists them. If only the month is known, the date is
 * its first day.
 */
export const MODELS: readonly Model[] = [
  {
    ...TODAY,
    id: 'claude-haiku-5-5',
    display_name: 'Claude Haiku 5.5',
    line: 'haiku',
    created_at: '2026-10-07T00:00:00Z',
    thinking: ['adaptive', 'disabled'],
    usualEffort: 'medium',
    boundThinking: true,
  },
  {
    ...TODAY,
    id: 'claude-sonnet-5-5',
    display_name: 'Claude Sonnet 5.5',
    line: 'sonnet',
    created_at: '2026-09-28T00:00:00Z',
    thinking: ['adaptive', 'between_tools'],
    forcedTools: false,
    boundThinking: true,
  },
  {
    ...TODAY,
    id: 'claude-opus-5-5',
    display_name: 'Claude Opus 5.5',
    line: 'opus',
    created_at: '2026-09-01T00:00:00Z',
    thinking: ['adaptive'],
    usualEffort: 'medium',
    forcedTools: false,
    boundThinking: true,
  },
  {
    ...TODAY,
    id: 'claude-opus-5',
    display_name: 'Claude Opus 5',
    line: 'opus',
    created_at: '2026-07-24T00:00:00Z',
    thinking: ['adaptive', 'disabled'],
  },
  {
    ...TODAY,
    id: 'claude-sonnet-5',
    display_name: 'Claude Sonnet 5',
    line: 'sonnet',
    created_at: '2026-06-30T00:00:00Z',
    thinking: ['adaptive', 'disabled'],
    cacheFrom: 1_024,
  },
  {
    ...BEFORE,
    id: 'claude-haiku-4-5-20251001',
    alias: 'claude-haiku-4-5',
    display_name: 'Claude Haiku 4.5',
    line: 'haiku',
    created_at: '2025-10-15T00:00:00Z',
    cacheFrom: 4_096,
  },
  {
    ...BEFORE,
    id: 'claude-sonnet-4-5-20250929',
    alias: 'claude-sonnet-4-5',
    display_name: 'Claude Sonnet 4.5',
    line: 'sonnet',
    created_at: '2025-09-29T00:00:00Z',
    lifecycle: 'deprecated',
    deprecated_at: '2026-09-01T00:00:00Z',
    retires_at: '2026-11-30T00:00:00Z',
  },
  {
    ...BEFORE,
    id: 'claude-sonnet-4-20250514',
    alias: 'claude-sonnet-4-0',
    display_name: 'Claude Sonnet 4',
    line: 'sonnet',
    created_at: '2025-05-22T00:00:00Z',
    lifecycle: 'retired',
    deprecated_at: '2026-04-01T00:00:00Z',
    retires_at: '2026-06-15T00:00:00Z',
  },
];

/**
 * A model with an unknown name, as a server that only resembles the API may have. It accepts all that any model accepts, except an
 * assistant's message at the end: the service's requests must suit all models.
 */
export function ownModel(id: string): Model {
  return {
    ...TODAY,
    id,
    display_name: id,
    line: null,
    created_at: '1970-01-01T00:00:00Z',
    max_input_tokens: null,
    max_tokens: null,
    thinking: ['adaptive', 'between_tools', 'disabled', 'enabled'],
    sampling: true,
  };
}
