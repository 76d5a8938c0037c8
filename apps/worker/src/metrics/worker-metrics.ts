import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { measureProcess, registry } from '#telemetry/registry.js';
import { Circuits } from '../model/circuits.js';
import type { ModelWatch } from '../model/model-watch.js';

/** Codes of faults that only an operator can repair. Their counters begin at 0, so that an alert sees the first increase. */
const OPERATOR_CODES = ['model_unauthorized', 'model_budget', 'model_misconfigured'] as const;

/** State of the whole worker, read when Prometheus asks. */
@Injectable()
export class WorkerMetrics {
  constructor(circuits: Circuits, models: ModelWatch, slots: number) {
    measureProcess();
    new Gauge({
      name: 'rejoinder_worker_slots',
      help: 'The highest number of attempts that this worker runs at once.',
      registers: [registry],
    }).set(slots);
    new Gauge({
      name: 'rejoinder_circuit_open',
      help: 'Whether this worker holds attempts back because the model is away: 0 or 1.',
      registers: [registry],
      collect() {
        this.set(circuits.held.some(({ fault }) => fault.operator === undefined) ? 1 : 0);
      },
    });
    new Gauge({
      name: 'rejoinder_model_holds',
      help: 'Holds of this worker that wait for an operator, by the code of the fault.',
      labelNames: ['code'],
      registers: [registry],
      collect() {
        for (const code of OPERATOR_CODES) {
          this.set({ code }, circuits.held.filter(({ fault }) => fault.code === code).length);
        }
      },
    });
    new Gauge({
      name: 'rejoinder_model_findings',
      help: 'Findings of this worker about assistants that their models refuse, or will.',
      registers: [registry],
      collect() {
        this.set(models.findings.length);
      },
    });
  }
}
