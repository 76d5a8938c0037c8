import { type Block, thinkingTokens } from './blocks.js';
import type { Script } from './scripts.js';

/** The billed input of a call, in tokens: the part without the cache, the part read from it, and the part written to it. */
export interface InputUsage {
  readonly input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly cache_creation: {
    readonly ephemeral_5m_input_tokens: number;
    readonly ephemeral_1h_input_tokens: number;
  };
}

const NOTHING = {
  input_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: 0,
};

/** The `usage` of `message_start`. The API reports 1 token of output there. */
export function usageAtStart(script: Script, input: InputUsage): object | undefined {
  if (script.usage_start !== undefined) return script.usage_start;
  if (script.usage === 'none') return undefined;
  if (script.usage === 'late') return NOTHING;
  return { ...input, output_tokens: 1, server_tool_use: null, service_tier: 'standard' };
}

/** The `usage` of `message_delta`: all figures so far. */
export function usageAtEnd(
  script: Script,
  input: InputUsage,
  blocks: readonly Block[],
  outputTokens: number,
): object | undefined {
  const { cache_creation: _, ...figures } = input;
  return scripted(script, { ...figures, output_tokens: outputTokens, ...details(blocks) });
}

/** The `usage` of a message that is not streamed. */
export function usageOfWhole(
  script: Script,
  input: InputUsage,
  blocks: readonly Block[],
  outputTokens: number,
): object | undefined {
  return scripted(script, { ...input, output_tokens: outputTokens, ...details(blocks), service_tier: 'standard' });
}

/** The usage, unless the script changes or removes it. */
function scripted({ usage, usage_delta }: Script, figures: object): object | undefined {
  if (usage_delta !== undefined) return usage_delta;
  return usage === 'none' ? undefined : figures;
}

/** The figures of an answer's thoughts, and of the tools of the provider that it used. */
export function details(blocks: readonly Block[]): {
  output_tokens_details: { thinking_tokens: number };
  server_tool_use: Record<string, number> | null;
} {
  const searches = blocks.filter((block) => block.type === 'server_tool_use' && block.name === 'web_search').length;
  const fetches = blocks.filter((block) => block.type === 'server_tool_use' && block.name === 'web_fetch').length;
  return {
    output_tokens_details: { thinking_tokens: blocks.reduce((sum, block) => sum + thinkingTokens(block), 0) },
    server_tool_use: searches + fetches > 0 ? { web_search_requests: searches, web_fetch_requests: fetches } : null,
  };
}
