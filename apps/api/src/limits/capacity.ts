import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { ServiceError } from '#errors/service-error.js';
import { countUnfinished } from '#limits/unfinished-turns.js';
import type { Settings } from '#settings/settings.js';
import { refusedFor } from './limit-metrics.js';

/** How long a count stays valid, in milliseconds. */
const FRESH_MS = 1_000;

const RETRY_AFTER_SECONDS = '5';

/**
 * Limits the number of unfinished turns of the whole service: above it, refusing a turn at once is better than a long wait. While turns
 * arrive, the unfinished ones are counted at most once a second. This process adds the turns that it accepts in between. So the limit may
 * be exceeded by the turns that other processes accept within a second.
 */
@Injectable()
export class Capacity {
  private unfinished = 0;
  /** Turns accepted here since the current count began, which may not include them. */
  private since = 0;
  private countedAt = -Infinity;
  private counting: Promise<void> | undefined;

  constructor(
    private readonly manager: EntityManager,
    private readonly limits: Settings['limits'],
  ) {}

  /** Why no turn can be accepted at the moment; undefined: turns are accepted. */
  async refusal(): Promise<ServiceError | undefined> {
    const most = this.limits.allUnfinishedTurns;
    if (most === undefined) return undefined;
    if (performance.now() - this.countedAt > FRESH_MS) await this.count(most);
    if (this.unfinished < most) return undefined;
    refusedFor('service');
    return new ServiceError(
      'unavailable',
      'The service has more turns in progress than it can take. Please try later.',
      {
        headers: { 'retry-after': RETRY_AFTER_SECONDS },
      },
    );
  }

  /** Notes that this process has accepted a turn. */
  accepted(): void {
    this.unfinished += 1;
    this.since += 1;
  }

  private count(most: number): Promise<void> {
    if (this.counting !== undefined) return this.counting;
    this.since = 0;
    this.counting = countUnfinished(this.manager, most)
      .then((unfinished) => {
        this.unfinished = unfinished + this.since;
        this.countedAt = performance.now();
      })
      // If the database is away, the request learns it from its own statement.
      .catch(() => undefined)
      .finally(() => (this.counting = undefined));
    return this.counting;
  }
}
