import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { measureProcess, registry } from '#telemetry/registry.js';
import { Circuit } from '../model/circuit.js';

/** What the worker as a whole is at, looked at when somebody asks. */
@Injectable()
export class WorkerMetrics {
  constructor(circuit: Circuit, slots: number) {
    measureProcess();
    new Gauge({
      name: 'rejoinder_worker_slots',
      help: 'Attempts that this worker runs at once at most.',
      registers: [registry],
    }).set(slots);
    new Gauge({
      name: 'rejoinder_circuit_open',
      help: 'Whether this worker begins no attempts because the model is away: 0 or 1.',
      registers: [registry],
      collect() {
        this.set(circuit.isOpen ? 1 : 0);
      },
    });
  }
}
