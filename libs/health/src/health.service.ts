import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { components } from '#contract/openapi.gen.js';
import { onlyReads } from '#database/read-only.js';
import { readHolds } from '#jobs/holds.js';
import { within } from '#process/within.js';
import { WorkerWaker } from '#queue/worker-waker.js';

type Health = Required<Pick<components['schemas']['Health'], 'status' | 'checks'>>;

const DATABASE_TIMEOUT_MS = 2_000;

/** The checks that the database answers. `model` is present only if the database answers, since the holds are its rows. */
type DatabaseHealth = Pick<Health['checks'], 'database' | 'model'>;

@Injectable()
export class HealthService implements OnModuleDestroy {
  private checking: Promise<Health> | undefined;
  private stopping = false;

  constructor(
    private readonly manager: EntityManager,
    private readonly waker: WorkerWaker,
  ) {}

  /**
   * Asks both stores at once, and waits two seconds at most. Probes that come meanwhile share the answer: any client may probe, and many
   * probes must not burden stores in trouble.
   */
  check(): Promise<Health> {
    this.checking ??= this.ask().finally(() => (this.checking = undefined));
    return this.checking;
  }

  /** Nest calls this first when it closes: work in progress may finish, and no more should come to this process. */
  onModuleDestroy(): void {
    this.stopping = true;
  }

  private async ask(): Promise<Health> {
    const [{ database, model }, queue] = await Promise.all([this.askDatabase(), this.waker.health()]);
    return {
      status: database === 'ok' && !this.stopping ? 'ok' : 'unavailable',
      checks: { database, queue, ...(model && { model }) },
    };
  }

  /** Asks the database whether it takes writes, and reads the holds, which keep workers from calling the model. */
  private askDatabase(): Promise<DatabaseHealth> {
    const ask = async (): Promise<DatabaseHealth> => {
      const database = (await onlyReads(this.manager)) ? 'read_only' : 'ok';
      const [hold] = await readHolds(this.manager);
      return { database, model: hold?.code ?? 'ok' };
    };
    const down: DatabaseHealth = { database: 'down' };
    return within(
      DATABASE_TIMEOUT_MS,
      ask().catch(() => down),
      down,
    );
  }
}
