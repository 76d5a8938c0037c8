import { Counter } from 'prom-client';
import { registry } from '#telemetry/registry.js';

const KINDS = ['unclaimed', 'abandoned', 'spent', 'expired', 'orphaned_call'] as const;

/**
 * The repairs of the reconciler. `unclaimed`: no worker had claimed a due job. `abandoned`: an attempt was lost with its worker, and
 * another took the job over. `spent` and `expired`: the job ended as failed because its attempts or its time were used up. `orphaned_call`:
 * a dead worker had left a call open in the ledger.
 */
export type Repair = (typeof KINDS)[number];

const repairs = new Counter({
  name: 'rejoinder_reconciler_repairs_total',
  help: 'Repairs of the reconciler, by kind.',
  labelNames: ['kind'],
  registers: [registry],
});
// Each counter begins at 0: Prometheus sees no increase when a new counter appears.
for (const kind of KINDS) repairs.inc({ kind }, 0);

/** Counts repairs. */
export function repaired(kind: Repair, count: number): void {
  if (count > 0) repairs.inc({ kind }, count);
}
