import type { CallFigures } from '#jobs/ledger.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Reply } from '#jobs/transitions.js';
import { REPLY_QUEUE } from '#queue/connection.js';
import { failSpan, type Span, SpanKind, startSpan } from '#telemetry/traces.js';
import { knownStopReason, nameOf } from '../model/labels.js';
import { ModelFault } from '../model/model-fault.js';

/**
 * One attempt in the trace of its turn: a span below that of the request which asked for it, however long ago that was, and below it
 * one of the model's call, with the names of OpenTelemetry's conventions for generative AI. Never what was said.
 */
export class AttemptTrace {
  private readonly span: Span | undefined;

  constructor(private readonly job: ClaimedJob) {
    this.span = startSpan(`process ${REPLY_QUEUE}`, SpanKind.CONSUMER, job.traceparent, {
      'messaging.system': 'bullmq',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': REPLY_QUEUE,
      'messaging.message.id': job.id,
      'rejoinder.attempt': job.attempt,
      'rejoinder.assistant': job.assistant,
      'rejoinder.request_id': job.requestId,
    });
  }

  /** Traces the call of the model; `told` gives what the model has said of it by its end. */
  async call(call: () => Promise<Reply>, told: () => CallFigures): Promise<Reply> {
    const { span: parent, job } = this;
    if (parent === undefined) return call();
    const span = startSpan(`chat ${job.model}`, SpanKind.CLIENT, parent, {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'anthropic',
      'gen_ai.request.model': job.model,
      'gen_ai.request.max_tokens': job.maxOutputTokens,
      'gen_ai.conversation.id': job.chatId,
      'gen_ai.output.type': 'text',
    });
    try {
      const reply = await call();
      span?.setAttributes({
        'gen_ai.response.model': nameOf(reply.model),
        'gen_ai.response.finish_reasons': [knownStopReason(reply.stopReason)],
      });
      return reply;
    } catch (error) {
      failSpan(span, error instanceof ModelFault ? error.code : 'stopped');
      throw error;
    } finally {
      const { messageId, inputTokens, outputTokens, firstTextMs } = told();
      span?.setAttributes({
        ...(messageId !== null && { 'gen_ai.response.id': nameOf(messageId) }),
        ...(inputTokens !== null && { 'gen_ai.usage.input_tokens': inputTokens }),
        ...(outputTokens !== null && { 'gen_ai.usage.output_tokens': outputTokens }),
        ...(firstTextMs !== null && { 'rejoinder.first_text_ms': firstTextMs }),
      });
      span?.end();
    }
  }

  /** The attempt has come to this end. */
  ended(outcome: string): void {
    this.span?.setAttribute('rejoinder.outcome', outcome);
    if (outcome === 'failed' || outcome === 'lost') failSpan(this.span, outcome);
  }

  /** The worker is done with it. */
  left(): void {
    this.span?.end();
  }
}
