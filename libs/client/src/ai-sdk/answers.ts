import type { UIMessage } from 'ai';
import { ApiError } from '../errors.js';
import type { Rejoinder } from '../rejoinder.js';
import { isAnswered, toolPartsOf } from './tool-calls.js';

/**
 * For `sendAutomaticallyWhen`: the page has answered a tool call of the last message, by `addToolApprovalResponse` or `addToolOutput`. Each
 * answer is sent at once, also while other calls wait.
 */
export function hasToolAnswers({ messages }: { messages: readonly UIMessage[] }): boolean {
  const message = messages.at(-1);
  return message?.role === 'assistant' && toolPartsOf(message).some(isAnswered);
}

/**
 * Gives the service the page's answers to the tool calls of a job. Where another tab or person was quicker, that answer counts.
 * @throws ApiError, for instance `validation_failed` for a result that does not match the tool's schema; ConnectionError
 */
export async function sendToolAnswers(
  client: Rejoinder,
  jobId: string,
  message: UIMessage,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const part of toolPartsOf(message).filter(isAnswered)) {
    const { toolCallId: id } = part;
    let sent: Promise<unknown> = Promise.resolve();
    if (part.state === 'approval-responded') {
      const { approved, reason } = part.approval;
      sent = client.decide(jobId, id, approved ? 'approve' : 'deny', { signal, ...(!approved && { reason }) });
    } else if (part.state === 'output-error') {
      sent = client.giveResult(jobId, id, part.errorText, { signal, isError: true });
    } else if (part.state === 'output-available') {
      sent = client.giveResult(jobId, id, part.output, { signal });
    }
    await sent.catch((error: unknown) => {
      if (!(error instanceof ApiError && error.code === 'tool_call_decided')) throw error;
    });
  }
}
