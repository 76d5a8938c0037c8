import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { DataSource } from 'typeorm';
import { HealthService } from '#health/health.service.js';
import { registry } from './registry.js';

/** TypeORM's driver holds pg's pool. */
interface Pool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

/** The stores as this process sees them: its pool of connections, and whether they answer. They are read when Prometheus asks. */
@Injectable()
export class StoreMetrics {
  constructor(source: DataSource, health: HealthService) {
    const { master: pool } = source.driver as unknown as { master: Pool };
    new Gauge({
      name: 'rejoinder_database_pool_connections',
      help: 'Connections to PostgreSQL that are used and idle, and requests that wait for one.',
      labelNames: ['state'],
      registers: [registry],
      collect() {
        this.set({ state: 'used' }, pool.totalCount - pool.idleCount);
        this.set({ state: 'idle' }, pool.idleCount);
        this.set({ state: 'waiting' }, pool.waitingCount);
      },
    });
    const queueUp = new Gauge({
      name: 'rejoinder_queue_up',
      help: 'Whether the store of the queue works: 1, or 0 if it is away or read-only.',
      registers: [registry],
    });
    new Gauge({
      name: 'rejoinder_database_up',
      help: 'Whether PostgreSQL works: 1, or 0 if it is away, needs more than two seconds to answer, or is read-only.',
      registers: [registry],
      async collect() {
        const { checks } = await health.check();
        this.set(checks.database === 'ok' ? 1 : 0);
        queueUp.set(checks.queue === 'ok' ? 1 : 0);
      },
    });
  }
}
