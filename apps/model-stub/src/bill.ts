import type { Block } from './blocks.js';
import type { Call } from './calls.js';
import { details, type InputUsage } from './usage.js';

/** The figures of a bill, in tokens. */
export interface Billed {
  input_tokens: number;
  cache_read_input_tokens: number;
  cache_write_5m_input_tokens: number;
  cache_write_1h_input_tokens: number;
  /** Thinking included. */
  output_tokens: number;
  /** The thoughts in it; 0 for an answer that broke off, whose thoughts the API does not report. */
  thinking_tokens: number;
  /** Requests of the API's own tools, of answers that did not break off. */
  web_search_requests: number;
  web_fetch_requests: number;
}

export const NOTHING: Billed = {
  input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_write_5m_input_tokens: 0,
  cache_write_1h_input_tokens: 0,
  output_tokens: 0,
  thinking_tokens: 0,
  web_search_requests: 0,
  web_fetch_requests: 0,
};

/** The bill of a call that has begun: all input, and all output until it ended. `blocks`: those of a whole answer. */
export function billFor(input: InputUsage, outputTokens: number, blocks: readonly Block[] = []): Billed {
  const { output_tokens_details, server_tool_use } = details(blocks);
  return {
    ...NOTHING,
    input_tokens: input.input_tokens,
    cache_read_input_tokens: input.cache_read_input_tokens,
    cache_write_5m_input_tokens: input.cache_creation.ephemeral_5m_input_tokens,
    cache_write_1h_input_tokens: input.cache_creation.ephemeral_1h_input_tokens,
    output_tokens: outputTokens,
    ...output_tokens_details,
    ...server_tool_use,
  };
}

/** The bill of all remembered calls, call by call and in sum. */
export function billOf(calls: readonly Call[]): object {
  const total = { ...NOTHING };
  for (const { billed } of calls) {
    for (const name of Object.keys(total) as (keyof Billed)[]) total[name] += billed[name];
  }
  return {
    calls: calls.map(({ id, request_id, model, asked, outcome, received_at, billed }) => ({
      id,
      request_id,
      model,
      asked,
      outcome,
      received_at,
      ...billed,
    })),
    total,
  };
}
