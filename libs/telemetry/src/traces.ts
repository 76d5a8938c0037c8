import {
  type Attributes,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  SpanStatusCode,
  trace,
  type TracerProvider,
} from '@opentelemetry/api';

/*
 * Traces, made by hand: instrumentation that patches libraries as they load cannot reach into a bundle. If no traces are kept (the
 * default), nothing of OpenTelemetry's SDK is loaded, and each function here returns at once.
 */

/** A span's trace context, as it travels between processes (W3C Trace Context, section 3.2). */
const TRACEPARENT = 'traceparent';

const tracer = trace.getTracer('rejoinder');
let kept = false;
let flush: (() => Promise<void>) | undefined;

/** Begins to keep traces. Call it once, before the first span. */
export function keepTraces(provider: TracerProvider, flushed: () => Promise<void>): void {
  trace.setGlobalTracerProvider(provider);
  flush = flushed;
  kept = true;
}

/** Whether traces are kept. */
export function areTracesKept(): boolean {
  return kept;
}

/** Sends the remaining spans and ends. */
export async function endTraces(): Promise<void> {
  kept = false;
  await flush?.();
}

/** Starts a span: below another one, which may be another process's (a `traceparent`), or as the first of a trace. */
export function startSpan(
  name: string,
  kind: SpanKind,
  parent: Span | string | null | undefined,
  attributes: Attributes,
): Span | undefined {
  if (!kept) return undefined;
  const context =
    typeof parent === 'string'
      ? propagation.extract(ROOT_CONTEXT, { [TRACEPARENT]: parent })
      : parent
        ? trace.setSpan(ROOT_CONTEXT, parent)
        : ROOT_CONTEXT;
  return tracer.startSpan(name, { kind, attributes }, context);
}

/** A span's trace context, for another process; null: there is none. */
export function traceparentOf(span: Span | undefined): string | null {
  if (span === undefined) return null;
  const carrier: Record<string, string> = {};
  propagation.inject(trace.setSpan(ROOT_CONTEXT, span), carrier);
  return carrier[TRACEPARENT] ?? null;
}

/** Marks a span as failed, with a short word for the fault (`error.type`). The message stays out, since it may quote anything. */
export function failSpan(span: Span | undefined, type: string): void {
  span?.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR });
}

export { type Attributes, type Span, SpanKind } from '@opentelemetry/api';
