import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { components } from '#contract/openapi.gen.js';
import { type Hold, readHolds } from '#jobs/holds.js';
import { within } from '#process/within.js';
import { Doorbell } from '#queue/doorbell.js';

type Health = Required<components['schemas']['Health']>;

const DATABASE_TIMEOUT_MS = 2_000;

@Injectable()
export class HealthService implements OnModuleDestroy {
  private checking: Promise<Health> | undefined;
  private stopping = false;

  constructor(
    private readonly manager: EntityManager,
    private readonly doorbell: Doorbell,
  ) {}

  /**
   * Asks the stores, both at once, and waits two seconds at most. Whoever asks meanwhile gets the same answer: anybody may ask, and
   * stores in trouble are not to be asked by all of them.
   */
  check(): Promise<Health> {
    this.checking ??= this.ask().finally(() => (this.checking = undefined));
    return this.checking;
  }

  /** Nest calls this first when it closes: what is under way may finish, and no more work is to come here. */
  onModuleDestroy(): void {
    this.stopping = true;
  }

  private async ask(): Promise<Health> {
    const [holds, queue] = await Promise.all([this.askDatabase(), this.doorbell.reachable()]);
    return {
      status: holds && !this.stopping ? 'ok' : 'unavailable',
      checks: {
        database: holds ? 'ok' : 'down',
        queue: queue ? 'ok' : 'down',
        ...(holds && { model: holds[0]?.code ?? 'ok' }),
      },
    };
  }

  /** Reads the holds, which keep workers from calling the model; undefined: the database does not answer. */
  private askDatabase(): Promise<Hold[] | undefined> {
    const asked = readHolds(this.manager).catch(() => undefined);
    return within(DATABASE_TIMEOUT_MS, asked, undefined);
  }
}
