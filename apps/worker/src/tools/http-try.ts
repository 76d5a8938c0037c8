import type { HttpTool } from '#database/entities/tool.js';
import { timeLimit } from '#process/time-limit.js';
import { AnswerFault } from './answer-fault.js';
import { refusalOf, resultOf } from './http-answer.js';
import { NoAnswer, post, type ToolAnswer, type ToolRequest } from './post.js';
import type { ToolResult } from './tool-result.js';

/** How much of a body is read, as a multiple of the longest result: JSON with many escapes is longer than its content. */
const READ_FACTOR = 4;

/** How much of a refusal is read, in bytes. */
const MOST_OF_REFUSAL = 16_384;

const UNKNOWN_OUTCOME = ' The outcome is unknown: the tool may have done its work or not.';

/** The outcome of one try. */
export interface Outcome {
  readonly result: ToolResult;
  /** The fault may be gone with the next try. */
  readonly again: boolean;
  readonly retryAfter?: string | undefined;
  /** Why there was no answer. */
  readonly error?: NoAnswer;
}

function mostBytesFor(tool: HttpTool): ToolRequest['mostBytes'] {
  return (status) => (status < 300 ? READ_FACTOR * tool.result_max_bytes : isRefusal(status) ? MOST_OF_REFUSAL : 0);
}

function isRefusal(status: number): boolean {
  return status >= 400 && status < 500;
}

/** Makes one try. @throws the signal's reason if it aborts */
export async function tryOnce(
  tool: HttpTool,
  toSend: Omit<ToolRequest, 'mostBytes'>,
  signal: AbortSignal,
): Promise<Outcome> {
  signal.throwIfAborted();
  const limit = timeLimit(tool.timeout_seconds * 1_000, signal);
  try {
    return outcomeOf(tool, await post({ ...toSend, mostBytes: mostBytesFor(tool) }, limit.signal));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AnswerFault) return { result: { content: error.message, isError: true }, again: false };
    if (!(error instanceof NoAnswer)) throw error;
    return { result: { content: withoutAnswer(tool, error.sent, limit.late), isError: true }, again: true, error };
  } finally {
    limit.release();
  }
}

/** @throws AnswerFault */
function outcomeOf(tool: HttpTool, answer: ToolAnswer): Outcome {
  const { status, headers } = answer;
  if (status < 300) return { result: resultOf(answer, tool.result_max_bytes), again: false };
  const retryAfter = headers['retry-after'];
  if (isRefusal(status)) return { result: refusalOf(answer, tool.result_max_bytes), again: status === 429, retryAfter };
  if (status < 400) {
    const content = `The tool answered ${status}, a redirect, which is not followed.`;
    return { result: { content, isError: true }, again: false };
  }
  // A gateway answers so for a server that may be at work, and so does a server that failed in the middle of it.
  const content = `The tool answered ${status}.${tool.repeatable ? '' : UNKNOWN_OUTCOME}`;
  return { result: { content, isError: true }, again: true, retryAfter };
}

/** Words for a call without an answer. They hold no address. */
function withoutAnswer(tool: HttpTool, sent: boolean, late: boolean): string {
  if (!sent) return 'The tool could not be reached.';
  const words = late
    ? `The tool did not answer within ${tool.timeout_seconds} s.`
    : 'The connection to the tool broke before its answer was complete.';
  return `${words}${tool.repeatable ? '' : UNKNOWN_OUTCOME}`;
}
