import { invalid } from '../http.js';
import { isObject } from '../is-object.js';
import { checkToolBlock } from './tool-blocks.js';

/** The fields that blocks of each type may have. The stand-in does not check blocks of the types in `LOOSE`. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  text: ['text', 'cache_control', 'citations'],
  thinking: ['thinking', 'signature'],
  redacted_thinking: ['data'],
  tool_use: ['id', 'name', 'input', 'cache_control', 'caller', 'toolset_name'],
  tool_result: ['tool_use_id', 'content', 'is_error', 'cache_control', 'toolset_name'],
  server_tool_use: ['id', 'name', 'input', 'cache_control', 'caller'],
  web_search_tool_result: ['tool_use_id', 'content', 'cache_control', 'caller'],
};

const LOOSE: readonly string[] = [
  'image',
  'document',
  'search_result',
  'web_fetch_tool_result',
  'code_execution_tool_result',
  'bash_code_execution_tool_result',
  'text_editor_code_execution_tool_result',
  'tool_search_tool_result',
  'container_upload',
  'tool_reference',
  'browser_state',
];

/** Blocks that may only be inside the results of tools. */
const ONLY_IN_RESULTS: readonly string[] = ['tool_reference', 'browser_state'];

/** The fields a block must have, all of them strings. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  text: ['text'],
  thinking: ['thinking', 'signature'],
  redacted_thinking: ['data'],
  tool_use: ['id', 'name'],
  tool_result: ['tool_use_id'],
  server_tool_use: ['id', 'name'],
  web_search_tool_result: ['tool_use_id'],
};

/** Checks the messages and the system prompt one by one, and the blocks in them. @throws Refusal */
export function checkContent(messages: readonly unknown[], system: unknown): void {
  messages.forEach((message, n) => {
    const at = `messages.${n}`;
    if (!isObject(message)) throw invalid(`${at}: Input should be an object`);
    const { role, content, ...rest } = message;
    if (role !== 'user' && role !== 'assistant') throw invalid(`${at}.role: Input should be 'user' or 'assistant'`);
    const [extra] = Object.keys(rest);
    if (extra !== undefined) throw invalid(`${at}.${extra}: Extra inputs are not permitted`);
    if (content === undefined) throw invalid(`${at}.content: Field required`);
    if (typeof content === 'string') return checkText(content, 'messages');
    if (!Array.isArray(content)) throw invalid(`${at}.content: Input should be a valid list`);
    if (content.length === 0) {
      throw invalid(`${at}: all messages must have non-empty content except for the optional final assistant message`);
    }
    content.forEach((block, m) => checkBlock(block, `${at}.content.${m}`));
  });
  if (Array.isArray(system)) {
    system.forEach((block: unknown, n) => {
      if (!isObject(block) || block['type'] !== 'text') throw invalid(`system.${n}.type: Input should be 'text'`);
      checkBlock(block, `system.${n}`, 'system');
    });
  }
}

function checkBlock(block: unknown, at: string, whose = 'messages'): void {
  if (!isObject(block)) throw invalid(`${at}: Input should be an object`);
  const { type, ...fields } = block;
  if (typeof type !== 'string') throw invalid(`${at}.type: Field required`);
  if (LOOSE.includes(type) && (!ONLY_IN_RESULTS.includes(type) || at.includes('.tool_result.'))) return;
  const known = FIELDS[type];
  if (known === undefined) {
    const expected = [...Object.keys(FIELDS), ...LOOSE.filter((name) => !ONLY_IN_RESULTS.includes(name))]
      .map((name) => `'${name}'`)
      .join(', ');
    throw invalid(`${at}: Input tag '${type}' found using 'type' does not match any of the expected tags: ${expected}`);
  }
  for (const name of REQUIRED[type] ?? []) {
    if (fields[name] === undefined) throw invalid(`${at}.${type}.${name}: Field required`);
    if (typeof fields[name] !== 'string') throw invalid(`${at}.${type}.${name}: Input should be a valid string`);
  }
  const extra = Object.keys(fields).find((name) => !known.includes(name));
  if (extra !== undefined) throw invalid(`${at}.${type}.${extra}: Extra inputs are not permitted`);
  checkToolBlock(block, at, checkBlock);
  if (type === 'text') {
    if (fields['text'] === '' && fields['cache_control']) {
      throw invalid(`${at}: cache_control cannot be set for empty text blocks`);
    }
    checkText(fields['text'] as string, whose);
  }
}

function checkText(text: string, whose: string): void {
  if (text === '') throw invalid(`${whose}: text content blocks must be non-empty`);
  if (text.trim() === '') throw invalid(`${whose}: text content blocks must contain non-whitespace text`);
}
