import { REPLY_QUEUE } from '#queue/connection.js';
import { type Span, SpanKind, startSpan } from '#telemetry/traces.js';

/**
 * The span of accepting a turn and ringing for it, below that of the request. Its place travels with the job's row, for a ring may get lost. One that
 * is not ended is not kept: that is what becomes of it when the turn is refused.
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
