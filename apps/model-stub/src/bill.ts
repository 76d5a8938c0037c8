import type { Call } from './calls.js';
import type { InputUsage } from './usage.js';

/** The figures of a bill, in tokens. */
export interface Billed {
  input_tokens: number;
  cache_read_input_tokens: number;
  cache_write_5m_input_tokens: number;
  cache_write_1h_input_tokens: number;
  /** Thinking included. */
  output_tokens: number;
}

export const NOTHING: Billed = {
  input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_write_5m_input_tokens: 0,
  cache_write_1h_input_tokens: 0,
  output_tokens: 0,
};

/** The bill of a call that has begun: all input, and all output until it ended. */
export function billFor(input: InputUsage, outputTokens: number): Billed {
  return {
    input_tokens: input.input_tokens,
    cache_read_input_tokens: input.cache_read_input_tokens,
    cache_write_5m_input_tokens: input.cache_creation.ephemeral_5m_input_tokens,
    cache_write_1h_input_tokens: input.cache_creation.ephemeral_1h_input_tokens,
    output_tokens: outputTokens,
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
