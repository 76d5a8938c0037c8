import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { components } from '#contract/openapi.gen.js';
import { within } from '#process/within.js';
import { Doorbell } from '#queue/doorbell.js';

const DATABASE_TIMEOUT_MS = 2_000;

@Injectable()
export class HealthService {
  constructor(
    private readonly manager: EntityManager,
    private readonly doorbell: Doorbell,
  ) {}

  /** Asks the stores, both at once, and waits two seconds at most. */
  async check(): Promise<components['schemas']['Health']> {
    const [database, queue] = await Promise.all([this.databaseAnswers(), this.doorbell.reachable()]);
    return {
      status: database ? 'ok' : 'unavailable',
      checks: { database: database ? 'ok' : 'down', queue: queue ? 'ok' : 'down' },
    };
  }

  private databaseAnswers(): Promise<boolean> {
    const asked = this.manager.query('SELECT 1').then(
      () => true,
      () => false,
    );
    return within(DATABASE_TIMEOUT_MS, asked, false);
  }
}
