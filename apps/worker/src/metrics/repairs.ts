import { Counter } from 'prom-client';
import { registry } from '#telemetry/registry.js';

const KINDS = ['unclaimed', 'abandoned', 'spent', 'expired', 'orphaned_call'] as const;

/**
 * What the reconciler repairs. `unclaimed`: no worker had claimed a job that was due; `abandoned`: an attempt was lost with its worker, and the job taken over;
 * `spent` and `expired`: ended as failed, for want of attempts or of time; `orphaned_call`: the ledger's line of a dead worker.
 */
export type Repair = (typeof KINDS)[number];

const repairs = new Counter({
  name: 'rejoinder_reconciler_repairs_total',
  help: 'What the reconciler found lost or left over, and put right.',
  labelNames: ['kind'],
  registers: [registry],
});
// There from the start: an increase from nothing is one that Prometheus does not see.
for (const kind of KINDS) repairs.inc({ kind }, 0);

/** Counts repairs. */
export function repaired(kind: Repair, count: number): void {
  if (count > 0) repairs.inc({ kind }, count);
}
