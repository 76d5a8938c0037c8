import { propagation, type TracerProvider } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

/**
 * Loads OpenTelemetry's SDK, which reads what it wants of the environment itself (`OTEL_…`: where to, with which headers, which
 * traces). Spans are sent in batches beside the work; those that nobody takes are dropped, 2,048 are kept at most.
 *
 * It ships as a program's second file, which is read only where traces are kept: so it must share no module of ours with the program.
 */
export function startSdk(serviceName: string): { provider: TracerProvider; flush: () => Promise<void> } {
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': serviceName }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return { provider, flush: () => provider.shutdown() };
}
