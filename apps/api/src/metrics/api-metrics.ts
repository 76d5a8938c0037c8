import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { registry } from '#telemetry/registry.js';
import { JobEvents } from '../jobs/job-events.js';

/** State of the whole API, read when Prometheus asks. */
@Injectable()
export class ApiMetrics {
  constructor(events: JobEvents) {
    new Gauge({
      name: 'rejoinder_http_open_streams',
      help: 'Streams of events that clients follow.',
      registers: [registry],
      collect() {
        this.set(events.size);
      },
    });
  }
}
