import { textFault } from '#contract/text.js';
import {
  CACHE_TTLS,
  type CacheTtl,
  type Compaction,
  COMPACTIONS,
  type Effort,
  EFFORTS,
  THINKING,
  type Thinking,
} from '#database/entities/assistant.entity.js';
import { CONTEXT_TOKENS } from '#jobs/timings.js';
import type { JsonSchema } from '#tools/json-schema.js';
import { checkOutputSchema } from './check-output-schema.js';
import type { Checking } from './checking.js';
import { type Fields, listed } from './fields.js';
import { type Family, familyOf } from './model-families.js';

/** How an assistant uses its model. */
export interface ModelSettings {
  readonly model: string;
  /** The model that answers when `model` is overloaded or retired; left out: none. */
  readonly fallback_model?: string;
  /** Most tokens of one reply, thinking included. */
  readonly max_output_tokens: number;
  /** How the model thinks; left out: its default. */
  readonly thinking?: Thinking;
  /** How much effort the model makes; left out: its default. */
  readonly effort?: Effort;
  /** Users see the model's reasoning. */
  readonly show_reasoning: boolean;
  /** JSON Schema of the replies; left out: they are text. */
  readonly output_schema?: JsonSchema;
  /** Texts at which the model ends its reply; left out: none. */
  readonly stop_sequences?: readonly string[];
  readonly cache_ttl: CacheTtl;
  /** Most tokens of a prompt. */
  readonly context_tokens: number;
  readonly compaction: Compaction;
}

/** The names of the fields that {@link checkModelSettings} reads. */
export const MODEL_FIELDS = [
  'model',
  'fallback_model',
  'max_output_tokens',
  'thinking',
  'effort',
  'show_reasoning',
  'output_schema',
  'stop_sequences',
  'cache_ttl',
  'context_tokens',
  'compaction',
];

const LONGEST_NAME = 200;

/** The default leaves room for the thoughts of a model, which count as well. */
const DEFAULT_MAX_OUTPUT_TOKENS = 8192;
const LARGEST_MAX_OUTPUT_TOKENS = 128_000;

/** The smallest prompt is a question behind a system prompt. */
const SMALLEST_CONTEXT = 2_000;
const LARGEST_CONTEXT = 10_000_000;

const MOST_STOPS = 16;
const LONGEST_STOP = 100;

/** Checks how an assistant uses its model. */
export function checkModelSettings(fields: Fields, checking: Checking): ModelSettings {
  const settings: ModelSettings = {
    model: fields.text('model', LONGEST_NAME),
    ...(fields.has('fallback_model') && { fallback_model: checkFallback(fields) }),
    max_output_tokens: fields.integer('max_output_tokens', 1, LARGEST_MAX_OUTPUT_TOKENS, DEFAULT_MAX_OUTPUT_TOKENS),
    ...(fields.has('thinking') && { thinking: fields.choice('thinking', THINKING) }),
    ...(fields.has('effort') && { effort: fields.choice('effort', EFFORTS) }),
    ...(fields.has('output_schema') && { output_schema: checkOutputSchema(fields, checking) }),
    show_reasoning: checkShowReasoning(fields),
    ...(fields.has('stop_sequences') && { stop_sequences: checkStops(fields) }),
    cache_ttl: fields.choice('cache_ttl', CACHE_TTLS, '5m'),
    context_tokens: fields.integer('context_tokens', SMALLEST_CONTEXT, LARGEST_CONTEXT, CONTEXT_TOKENS),
    compaction: fields.choice('compaction', COMPACTIONS, 'truncate'),
  };
  // A model takes the same settings in the place of another one.
  for (const family of [familyOf(settings.model), familyOf(settings.fallback_model)]) {
    if (family !== undefined) checkFamily(fields, settings, family);
  }
  return settings;
}

function checkFallback(fields: Fields): string {
  const model = fields.text('fallback_model', LONGEST_NAME);
  if (model === fields.values['model']) fields.fault('fallback_model', 'must be another model than `model`');
  return model;
}

function checkShowReasoning(fields: Fields): boolean {
  const shows = fields.flag('show_reasoning', false);
  const { thinking } = fields.values;
  if (shows && (thinking === 'disabled' || thinking === 'between_tools')) {
    fields.fault('show_reasoning', `must not be true with thinking: ${thinking}, which shows no reasoning`);
  }
  return shows;
}

function checkStops(fields: Fields): string[] {
  const stops = fields.list('stop_sequences', MOST_STOPS);
  stops.forEach((stop, n) => {
    const fault = textFault(stop, 1, LONGEST_STOP);
    if (fault !== undefined) fields.faults.add([...fields.path, 'stop_sequences', n], fault);
  });
  if (fields.has('output_schema'))
    fields.fault('stop_sequences', 'must be left out with `output_schema`: they would cut the JSON');
  return stops as string[];
}

/** Settings that a model is known to refuse. The words name the model as its maker does, not as the file does. */
function checkFamily(fields: Fields, settings: ModelSettings, family: Family): void {
  const { name, efforts, maxOutputTokens, contextTokens } = family;
  const { thinking, effort, max_output_tokens: most, context_tokens: context } = settings;
  const knows = (words: readonly string[], word: string): boolean => words.includes(word);
  if (thinking !== undefined && knows(THINKING, thinking) && !family.thinking.includes(thinking)) {
    fields.fault('thinking', `must be ${listed(family.thinking)} with ${name}, or be left out`);
  }
  if (effort !== undefined && knows(EFFORTS, effort) && !efforts.includes(effort)) {
    fields.fault(
      'effort',
      efforts.length === 0 ? `must be left out with ${name}` : `must be ${listed(efforts)} with ${name}`,
    );
  }
  if (thinking !== undefined && family.calm?.includes(thinking) === true && (effort === 'xhigh' || effort === 'max')) {
    fields.fault('effort', `must be low, medium or high with ${name} and \`thinking: ${thinking}\``);
  }
  if (most > maxOutputTokens) fields.fault('max_output_tokens', `must be at most ${maxOutputTokens} with ${name}`);
  else if (Number.isInteger(context) && context + most > contextTokens) {
    fields.fault('context_tokens', `must be at most ${contextTokens - most} with ${name} and this max_output_tokens`);
  }
}
