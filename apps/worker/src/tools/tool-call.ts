import type { ToolResult } from './tool-result.js';

/** A call of a tool, as the model asks for it in a step. */
export interface ToolCallRequest {
  /** Names this call in all its tries, also those of later attempts. */
  readonly callId: string;
  readonly userId: string;
  readonly chatId: string;
  readonly jobId: string;
  /** The assistant's slug. */
  readonly assistant: string;
  /** The parsed JSON object that the model has written; it fits the tool's schema. */
  readonly input: unknown;
  /** The `traceparent` of the attempt's trace (W3C Trace Context); null: the attempt is not traced. */
  readonly traceparent: string | null;
}

/** Runs tools of one kind. */
export interface ToolRunner<T> {
  /**
   * Calls the tool and waits for its result. Whatever goes wrong with the call becomes a result with `isError`, in words for the model.
   *
   * Rejects only when `signal` aborts, and then with its reason.
   */
  run(tool: T, request: ToolCallRequest, signal: AbortSignal): Promise<ToolResult>;
}
