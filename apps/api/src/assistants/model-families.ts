import type { Effort, Thinking } from '#database/entities/assistant.entity.js';

/** Settings that a model takes, as far as its name tells. A field that is left out is not known. */
export interface Family {
  readonly name: string;
  readonly thinking: readonly Thinking[];
  /** The values of `thinking` that go only with an effort of `high` or less. */
  readonly calm?: readonly Thinking[];
  readonly efforts: readonly Effort[];
  readonly maxOutputTokens: number;
  /** Tokens of prompt and reply together. */
  readonly contextTokens: number;
}

const ALL_EFFORTS: readonly Effort[] = ['low', 'medium', 'high', 'xhigh', 'max'];
const OF_2026 = { efforts: ALL_EFFORTS, maxOutputTokens: 128_000, contextTokens: 1_000_000 };
const OF_2025 = { thinking: ['disabled'], efforts: [], maxOutputTokens: 64_000 } satisfies Partial<Family>;

/**
 * Models whose settings are documented, in November 2026: https://platform.claude.com/docs/en/models/overview, the migration guides of
 * Sonnet 5.5, Opus 5.5 and Haiku 5.5 below it, and https://platform.claude.com/docs/en/build-with-claude/thinking.
 */
const FAMILIES: readonly Family[] = [
  { ...OF_2026, name: 'claude-sonnet-5-5', thinking: ['adaptive', 'between_tools'], calm: ['between_tools'] },
  { ...OF_2026, name: 'claude-opus-5-5', thinking: ['adaptive'] },
  { ...OF_2026, name: 'claude-fable-5-1', thinking: ['adaptive'] },
  { ...OF_2026, name: 'claude-haiku-5-5', thinking: ['adaptive', 'disabled'], calm: ['disabled'] },
  { ...OF_2026, name: 'claude-opus-5', thinking: ['adaptive', 'disabled'], calm: ['disabled'] },
  { ...OF_2026, name: 'claude-sonnet-5', thinking: ['adaptive', 'disabled'] },
  { ...OF_2025, name: 'claude-haiku-4-5', contextTokens: 200_000 },
  { ...OF_2025, name: 'claude-sonnet-4-5', contextTokens: 1_000_000 },
];

/** A name with what platforms put before and behind it: `eu.anthropic.claude-haiku-4-5-20251001-v1:0`, `claude-opus-5@20260724`. */
const NAME = /^(?:.*[./])?(claude-[a-z]+-\d{1,2}(?:-\d{1,2})?)(?:[-@:].*)?$/;

/** The family of a model by its name; undefined: it is not known, and nothing is wrong with that. */
export function familyOf(model: unknown): Family | undefined {
  const name = typeof model === 'string' ? NAME.exec(model)?.[1] : undefined;
  return FAMILIES.find((family) => family.name === name);
}
