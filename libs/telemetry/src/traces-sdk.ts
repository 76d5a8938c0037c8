import { propagation, type TracerProvider } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

/**
 * Loads OpenTelemetry's SDK, which reads its own variables (`OTEL_…`: the address, headers, which traces). It sends spans in batches in the
 * background, keeps at most 2,048, and drops spans that no collector accepts.
 *
 * This file is a bundle of its own that only a program with traces loads. So it must share no module of ours with the program.
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
