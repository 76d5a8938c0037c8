import { invalid } from '../http.js';
import { EFFORTS, type Model, THINKING_TYPES } from '../models/model.js';
import { isObject } from '../is-object.js';
import { checkGrammar } from './strict-schema.js';
import { checkToolChoice } from './tool-choice.js';

const LEAST_BUDGET = 1_024;
/** The efforts that need thinking. */
const THOUGHTFUL: readonly unknown[] = ['xhigh', 'max'];

/** Checks everything that depends on the model, except the prompt's length. @throws Refusal */
export function checkParameters(body: Readonly<Record<string, unknown>>, model: Model): void {
  checkMaxTokens(body['max_tokens'] as number, model);
  checkSampling(body, model);
  checkStops(body['stop_sequences']);
  checkFormat(body['output_config']);
  checkEffort(body['output_config'], model);
  checkThinking(body, model);
  checkToolChoice(body, model);
}

function checkMaxTokens(asked: number, { id, max_tokens: most }: Model): void {
  if (most === null || asked <= most) return;
  throw invalid(`max_tokens: ${asked} > ${most}, which is the maximum allowed number of output tokens for ${id}`);
}

function checkSampling(body: Readonly<Record<string, unknown>>, model: Model): void {
  const { temperature, top_p: topP } = body;
  const given = ['temperature', 'top_p', 'top_k'].filter((name) => body[name] !== undefined && body[name] !== null);
  if (given.includes('temperature') && ((temperature as number) < 0 || (temperature as number) > 1)) {
    throw invalid('temperature: range: 0..1');
  }
  if (!model.sampling) {
    // The model accepts only the temperature's default, and neither of the other two.
    const refused = given.find((name) => name !== 'temperature' || temperature !== 1);
    if (refused !== undefined) throw invalid(`\`${refused}\` is deprecated for this model.`);
  } else if (given.includes('temperature') && typeof topP === 'number' && model.line !== null) {
    throw invalid('`temperature` and `top_p` cannot both be specified for this model. Please use only one.');
  }
}

function checkStops(stops: unknown): void {
  if (!Array.isArray(stops)) return;
  stops.forEach((stop: unknown, n) => {
    if (typeof stop !== 'string') throw invalid(`stop_sequences.${n}: Input should be a valid string`);
    if (stop.trim() === '') throw invalid('stop_sequences: each stop sequence must contain non-whitespace');
  });
}

function checkFormat(config: unknown): void {
  const format = isObject(config) ? config['format'] : undefined;
  if (format === undefined || format === null) return;
  if (!isObject(format)) throw invalid('output_config.format: Input should be an object');
  const { type, schema, ...rest } = format;
  if (type !== 'json_schema') throw invalid("output_config.format.type: Input should be 'json_schema'");
  if (!isObject(schema)) throw invalid('output_config.format.schema: Input should be a valid dictionary');
  const [extra] = Object.keys(rest);
  if (extra !== undefined) throw invalid(`output_config.format.${extra}: Extra inputs are not permitted`);
  checkGrammar(schema, 'output_config.format.schema');
}

function checkEffort(config: unknown, model: Model): void {
  const { effort, ...rest } = isObject(config) ? config : {};
  const extra = Object.keys(rest).find((name) => name !== 'format');
  if (extra !== undefined) throw invalid(`output_config.${extra}: Extra inputs are not permitted`);
  if (effort === undefined || effort === null) return;
  if (!(EFFORTS as readonly unknown[]).includes(effort)) {
    throw invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
  }
  if (model.efforts.length === 0) throw invalid('This model does not support the effort parameter.');
}

function checkThinking(body: Readonly<Record<string, unknown>>, model: Model): void {
  const { thinking, output_config: config, max_tokens: most } = body;
  if (!isObject(thinking)) return;
  const { type, budget_tokens: budget, display } = thinking;
  if (!(THINKING_TYPES as readonly unknown[]).includes(type)) {
    throw invalid(
      `thinking: Input tag '${String(type)}' found using 'type' does not match any of the expected tags: ` +
        THINKING_TYPES.map((name) => `'${name}'`).join(', '),
    );
  }
  const known = ['type', 'block_binding', ...(type === 'enabled' ? ['budget_tokens'] : [])];
  if (type === 'adaptive' || type === 'enabled') known.push('display');
  const extra = Object.keys(thinking).find((name) => !known.includes(name));
  if (extra !== undefined) throw invalid(`thinking.${String(type)}.${extra}: Extra inputs are not permitted`);
  if (!(model.thinking as readonly unknown[]).includes(type)) throw invalid(notThought(String(type), model));
  if (display !== undefined && display !== null && display !== 'summarized' && display !== 'omitted') {
    throw invalid(`thinking.${String(type)}.display: Input should be 'summarized' or 'omitted'`);
  }
  if (type === 'enabled') {
    if (!Number.isInteger(budget)) throw invalid('thinking.enabled.budget_tokens: Field required');
    if ((budget as number) < LEAST_BUDGET) {
      throw invalid(`thinking.enabled.budget_tokens: Input should be greater than or equal to ${LEAST_BUDGET}`);
    }
    if ((budget as number) >= (most as number)) {
      throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`.');
    }
  }
  const effort = isObject(config) ? config['effort'] : undefined;
  if ((type === 'between_tools' || type === 'disabled') && THOUGHTFUL.includes(effort)) {
    throw invalid(`thinking.type "${type}" is not supported with output_config.effort "${String(effort)}".`);
  }
}

function notThought(type: string, model: Model): string {
  const instead =
    type === 'disabled' && model.thinking.includes('between_tools')
      ? 'Use "thinking.type.between_tools" to turn off up-front thinking.'
      : model.thinking.includes('adaptive')
        ? 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        : 'Use "thinking.type.enabled" to turn on thinking.';
  return `"thinking.type.${type}" is not supported for this model. ${instead}`;
}
