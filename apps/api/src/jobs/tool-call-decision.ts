import type { UpdateToolCallRequest } from '#contract/requests.dto.js';
import { invalidField } from '#errors/service-error.js';
import type { Said } from '#jobs/decisions.js';

/** Reads the decision or the result in a request. @throws ServiceError `validation_failed` if it is not exactly one thing */
export function readDecision({ decision, reason, result }: UpdateToolCallRequest): Said {
  if ((decision === undefined) === (result === undefined)) {
    throw invalidField(
      result === undefined ? 'decision' : 'result',
      'must be given, or else the other of decision and result',
    );
  }
  if (reason !== undefined && decision !== 'deny') throw invalidField('reason', 'is only for a denial');
  if (decision === 'approve') return { decision };
  if (decision === 'deny') return { decision, reason: reason ?? null };
  const { content, is_error = false } = result as { content: unknown; is_error?: boolean };
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return { result: text.replaceAll('\0', '\uFFFD').toWellFormed(), isError: is_error, value: content };
}
