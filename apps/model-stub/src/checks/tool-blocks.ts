import { invalid } from '../http.js';
import { isObject } from '../is-object.js';

/** The patterns of the ids and names in calls. */
const PATTERNS: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  tool_use: { id: /^[a-zA-Z0-9_-]+$/u, name: /^[a-zA-Z0-9_-]{1,200}$/u },
  server_tool_use: { id: /^srvtoolu_[a-zA-Z0-9_]+$/u },
  tool_result: { tool_use_id: /^[a-zA-Z0-9_-]+$/u },
};

/** The types of blocks that a result may consist of. */
const IN_RESULTS = ['browser_state', 'document', 'image', 'search_result', 'text', 'tool_reference'];

/**
 * Checks a call or a result by itself. Other blocks pass.
 * @param at its place, as in `messages.0.content.1`
 * @param checkBlock checks a block inside a result
 * @throws Refusal
 */
export function checkToolBlock(
  block: Readonly<Record<string, unknown>>,
  at: string,
  checkBlock: (block: unknown, at: string) => void,
): void {
  const type = String(block['type']);
  for (const [name, pattern] of Object.entries(PATTERNS[type] ?? {})) {
    if (!pattern.test(String(block[name]))) {
      throw invalid(`${at}.${type}.${name}: String should match pattern '${pattern.source}'`);
    }
  }
  if (type === 'tool_use' || type === 'server_tool_use') {
    if (block['input'] === undefined) throw invalid(`${at}.${type}.input: Field required`);
    if (!isObject(block['input'])) throw invalid(`${at}.${type}.input: Input should be a valid dictionary`);
  }
  if (type !== 'tool_result') return;
  const { content, is_error: isError } = block;
  if (isError !== undefined && typeof isError !== 'boolean') {
    throw invalid(`${at}.tool_result.is_error: Input should be a valid boolean`);
  }
  if (content === undefined || typeof content === 'string') return;
  if (!Array.isArray(content)) throw invalid(`${at}.tool_result.content: Input should be a valid list`);
  (content as unknown[]).forEach((part, n) => {
    const place = `${at}.tool_result.content.${n}`;
    const tag = isObject(part) ? part['type'] : undefined;
    if (typeof tag === 'string' && !IN_RESULTS.includes(tag)) {
      const expected = IN_RESULTS.map((one) => `'${one}'`).join(', ');
      throw invalid(
        `${place}: Input tag '${tag}' found using 'type' does not match any of the expected tags: ${expected}`,
      );
    }
    checkBlock(part, place);
  });
}
