import { invalid } from '../http.js';
import { isObject } from '../is-object.js';
import { KINDS } from '../tools/kinds.js';
import { checkInputSchema } from './input-schema.js';
import { checkStrictSchema } from './strict-schema.js';

const NAME = /^[a-zA-Z0-9_-]{1,128}$/u;

/** The fields that all tools but sets of tools may have. */
const COMMON = 'type name cache_control defer_loading allowed_callers strict'.split(' ');
const CUSTOM = [...COMMON, ...'description input_schema input_examples eager_input_streaming'.split(' ')];
const DOMAINS = 'allowed_domains blocked_domains max_uses response_inclusion'.split(' ');

/** The further fields of the API's own tools, by the beginning of their type. */
const FURTHER: readonly (readonly [string, readonly string[]])[] = [
  ['web_search_', [...DOMAINS, 'user_location']],
  ['web_fetch_', [...DOMAINS, 'citations', 'max_content_tokens', 'url_sources', 'use_cache']],
  ['text_editor_', ['input_examples', 'max_characters']],
  ['bash_', ['input_examples']],
  ['memory_', ['input_examples']],
];

/** Checks the tools that a request offers, if it does, one by one and together. @throws Refusal */
export function checkToolDefinitions(tools: unknown): void {
  if (!Array.isArray(tools)) return;
  (tools as unknown[]).forEach((tool, n) => {
    const at = `tools.${n}`;
    if (!isObject(tool)) throw invalid(`${at}: Input should be an object`);
    const { type } = tool;
    if (type === undefined || type === null || type === 'custom') return checkCustom(tool, `${at}.custom`);
    checkOwn(tool, typeof type === 'string' ? type : JSON.stringify(type), at);
  });
  const names = (tools as Record<string, unknown>[]).flatMap(({ name }) => (name === undefined ? [] : [name]));
  if (new Set(names).size < names.length) throw invalid('tools: Tool names must be unique.');
}

function checkCustom(tool: Readonly<Record<string, unknown>>, at: string): void {
  const { name, description, input_schema: schema } = tool;
  if (name === undefined) throw invalid(`${at}.name: Field required`);
  if (typeof name !== 'string') throw invalid(`${at}.name: Input should be a valid string`);
  if (!NAME.test(name)) throw invalid(`${at}.name: String should match pattern '${NAME.source}'`);
  if (description !== undefined && typeof description !== 'string') {
    throw invalid(`${at}.description: Input should be a valid string`);
  }
  checkInputSchema(schema, `${at}.input_schema`);
  if (tool['strict'] === true) checkStrictSchema(schema, at);
  checkFields(tool, CUSTOM, at);
}

/** Checks a tool that the API defines: its name is fixed. */
function checkOwn(tool: Readonly<Record<string, unknown>>, type: string, at: string): void {
  const kind = KINDS.get(type);
  if (kind === undefined) {
    const expected = [...KINDS.keys(), 'custom'].toSorted().map((one) => `'${one}'`);
    throw invalid(
      `${at}: Input tag '${type}' found using 'type' does not match any of the expected tags: ${expected.join(', ')}`,
    );
  }
  const { name, max_uses: most, allowed_domains: allowed, blocked_domains: blocked } = tool;
  if (kind.name === undefined) return checkFields(tool, ['type', 'cache_control', 'configs'], `${at}.${type}`);
  if (name === undefined) throw invalid(`${at}.${type}.name: Field required`);
  if (name !== kind.name) throw invalid(`${at}.${type}.name: Input should be '${kind.name}'`);
  checkFields(tool, [...COMMON, ...(FURTHER.find(([start]) => type.startsWith(start))?.[1] ?? [])], `${at}.${type}`);
  if (most !== undefined && most !== null && !(Number.isInteger(most) && (most as number) > 0)) {
    throw invalid(`${at}.${type}.max_uses: Input should be greater than 0`);
  }
  if (Array.isArray(allowed) && Array.isArray(blocked)) {
    throw invalid(`${at}.${type}: Cannot specify both \`allowed_domains\` and \`blocked_domains\`.`);
  }
}

function checkFields(tool: object, known: readonly string[], at: string): void {
  const extra = Object.keys(tool).find((field) => !known.includes(field));
  if (extra !== undefined) throw invalid(`${at}.${extra}: Extra inputs are not permitted`);
}
