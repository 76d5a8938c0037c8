import { Counter } from 'prom-client';
import { BUDGETS } from '#limits/budgets.js';
import { registry } from '#telemetry/registry.js';

/** What may refuse a request: limits of its user, `service`, the limit of all users together, and the budgets of a day. */
const LIMITS = ['turns', 'unfinished', 'streams', 'service', ...BUDGETS] as const;

const limited = new Counter({
  name: 'rejoinder_rate_limited_total',
  help: 'Requests refused because of a limit of their user or a budget of the day (429), or of the service (503).',
  labelNames: ['limit'],
  registers: [registry],
});
// Each counter begins at 0: Prometheus sees no increase when a new counter appears.
for (const limit of LIMITS) limited.inc({ limit }, 0);

/** Counts a request that was refused. */
export function refusedFor(limit: (typeof LIMITS)[number]): void {
  limited.inc({ limit });
}
