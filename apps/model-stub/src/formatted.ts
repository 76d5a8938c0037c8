import { isObject } from './is-object.js';
import type { ScriptBlock } from './script-blocks.js';
import { madeUpValue } from './tools/made-up-input.js';

interface Answer {
  readonly blocks: readonly ScriptBlock[];
  readonly stopReason: string;
}

/**
 * An answer in the form of the request's `output_config.format`: in place of its text it has one JSON text, made up from the schema. While
 * it calls tools it has no text.
 */
export function formatted<T extends Answer>(answer: T, config: unknown): T | Answer {
  const format = isObject(config) ? config['format'] : undefined;
  const schema = isObject(format) ? format['schema'] : undefined;
  if (!isObject(schema)) return answer;
  const others = answer.blocks.filter(({ type }) => type !== 'text');
  if (answer.stopReason !== 'end_turn') return { ...answer, blocks: others };
  return { ...answer, blocks: [...others, { type: 'text', text: JSON.stringify(madeUpValue(schema)) }] };
}
