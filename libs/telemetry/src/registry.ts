import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { version } from '#process/version.js';

/** The metrics of this process. Names and labels are a contract with dashboards and alerts: see docs/operations/observability.md. */
export const registry = new Registry();

/** Buckets for how long a turn takes or waits, in seconds: from a moment to the hour after which a turn expires. */
export const TURN_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600];

/**
 * The interval at which the event loop's lag is measured, in milliseconds. Each measurement wakes the process. Ten milliseconds, the
 * library's default, take 0.4 % of a core, which is most of what an idle worker uses.
 */
const LAG_EVERY_MS = 50;

/**
 * Begins to measure the process itself (memory, CPU, garbage collection, event loop) and reports its version. A process that serves metrics
 * calls this once.
 */
export function measureProcess(): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_EVERY_MS });
  new Gauge({
    name: 'rejoinder_build_info',
    help: 'Always 1; the label says which version runs.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version: version() }, 1);
}
