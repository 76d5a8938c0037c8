import { REPLY_QUEUE } from '#queue/connection.js';
import { type Span, SpanKind, startSpan } from '#telemetry/traces.js';

/**
 * The span of accepting a turn and making its ticket, a child of the request's span. Its trace context travels in the job's row, since a
 * ticket may get lost. If the turn is refused, the span is never ended, and so dropped.
 */
export function acceptingSpan(request: Span | undefined, jobId: string): Span | undefined {
  if (request === undefined) return undefined;
  return startSpan(`send ${REPLY_QUEUE}`, SpanKind.PRODUCER, request, {
    'messaging.system': 'bullmq',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': REPLY_QUEUE,
    'messaging.message.id': jobId,
  });
}
