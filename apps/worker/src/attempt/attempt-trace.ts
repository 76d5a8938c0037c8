import type { CallPurpose } from '#database/entities/model-call.entity.js';
import type { ClaimedJob } from '#jobs/claim.js';
import { REPLY_QUEUE } from '#queue/connection.js';
import { failSpan, type Span, SpanKind, startSpan, traceparentOf } from '#telemetry/traces.js';
import { knownStopReason, nameOf } from '../model/labels.js';
import type { Answer } from '../model/answer.js';
import type { Call } from '../model/call.js';
import { ModelFault } from '../model/model-fault.js';

/**
 * One attempt in the trace of its turn. Its span is a child of the span of the request that sent the turn, even if that request ended long
 * ago. The span of the model's call is a child of the attempt's. Attributes have the names of OpenTelemetry's conventions for generative
 * AI. No attribute holds text of a chat.
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

  /** Traces a call of the model. @param provider as OpenTelemetry's conventions name it */
  async call<T extends { readonly answer: Answer }>(
    ask: () => Promise<T>,
    call: Call,
    provider: string,
    purpose: CallPurpose,
  ): Promise<T> {
    const { span: parent, job } = this;
    if (parent === undefined) return ask();
    const model = call.model ?? job.model;
    const span = startSpan(`chat ${model}`, SpanKind.CLIENT, parent, {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': provider,
      'gen_ai.request.model': model,
      'gen_ai.request.max_tokens': call.most,
      'rejoinder.purpose': purpose,
      'gen_ai.conversation.id': job.chatId,
      'gen_ai.output.type': 'text',
    });
    try {
      const answered = await ask();
      span?.setAttributes({
        'gen_ai.response.model': nameOf(answered.answer.model),
        'gen_ai.response.finish_reasons': [knownStopReason(answered.answer.stopReason ?? '')],
      });
      return answered;
    } catch (error) {
      failSpan(span, error instanceof ModelFault ? error.code : 'stopped');
      throw error;
    } finally {
      const { messageId, inputTokens, outputTokens, firstTextMs } = call.figuresSoFar;
      span?.setAttributes({
        ...(messageId !== null && { 'gen_ai.response.id': nameOf(messageId) }),
        ...(inputTokens !== null && { 'gen_ai.usage.input_tokens': inputTokens }),
        ...(outputTokens !== null && { 'gen_ai.usage.output_tokens': outputTokens }),
        ...(firstTextMs !== null && { 'rejoinder.first_text_ms': firstTextMs }),
      });
      span?.end();
    }
  }

  /** Traces a call of a tool. `run` gets the trace context for the tool's server; null: the attempt is not traced. */
  async tool<T extends { readonly isError: boolean }>(
    tool: string,
    callId: string,
    run: (traceparent: string | null) => Promise<T>,
  ): Promise<T> {
    const { span: parent, job } = this;
    if (parent === undefined) return run(null);
    const span = startSpan(`execute_tool ${tool}`, SpanKind.CLIENT, parent, {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': tool,
      'gen_ai.tool.call.id': callId,
      'gen_ai.tool.type': 'function',
      'gen_ai.conversation.id': job.chatId,
    });
    try {
      const result = await run(traceparentOf(span ?? parent));
      if (result.isError) failSpan(span, 'tool_error');
      return result;
    } catch (error) {
      failSpan(span, 'stopped');
      throw error;
    } finally {
      span?.end();
    }
  }

  /** Notes that the attempt's end is written. */
  ended(outcome: string): void {
    this.span?.setAttribute('rejoinder.outcome', outcome);
    if (outcome === 'failed' || outcome === 'lost') failSpan(this.span, outcome);
  }

  /** Notes that the attempt no longer runs here. */
  left(): void {
    this.span?.end();
  }
}
