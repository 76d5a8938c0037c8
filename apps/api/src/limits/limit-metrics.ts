import { Counter } from 'prom-client';
import { registry } from '#telemetry/registry.js';

/** Limits that a request may meet: those of its user, and `service`, which is that of all users together. */
const LIMITS = ['turns', 'unfinished', 'tokens', 'streams', 'service'] as const;

const limited = new Counter({
  name: 'rejoinder_rate_limited_total',
  help: 'Requests refused because of a limit of their user (429) or of the service (503).',
  labelNames: ['limit'],
  registers: [registry],
});
// They exist from the start: Prometheus does not see an increase from nothing.
for (const limit of LIMITS) limited.inc({ limit }, 0);

/** Counts a request that was refused. */
export function refusedFor(limit: (typeof LIMITS)[number]): void {
  limited.inc({ limit });
}
