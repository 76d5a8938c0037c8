import { Counter } from 'prom-client';
import { registry } from '#telemetry/registry.js';

/** The limits that may refuse a request: those of its user, and `service`, the limit of all users together. */
const LIMITS = ['turns', 'unfinished', 'tokens', 'streams', 'service'] as const;

const limited = new Counter({
  name: 'rejoinder_rate_limited_total',
  help: 'Requests refused because of a limit of their user (429) or of the service (503).',
  labelNames: ['limit'],
  registers: [registry],
});
// Each counter begins at 0: Prometheus sees no increase when a new counter appears.
for (const limit of LIMITS) limited.inc({ limit }, 0);

/** Counts a request that was refused. */
export function refusedFor(limit: (typeof LIMITS)[number]): void {
  limited.inc({ limit });
}
