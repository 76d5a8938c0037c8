import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { ServiceError } from '#errors/service-error.js';
import { countUnfinished } from '#jobs/load.js';
import type { Settings } from '#settings/settings.js';
import { refusedFor } from '../metrics/limit-metrics.js';

/** For how long a count is good, in milliseconds. */
const FRESH_MS = 1_000;

const RETRY_AFTER_SECONDS = '5';

/**
 * Keeps the service from taking on more turns than it will ever get done: beyond so many under way it is better to say no at once.
 *
 * They are counted once a second at most while turns come, not for each of them; what this process accepts in between is added. So the limit
 * may be passed by what other processes accept within a second.
 */
@Injectable()
export class Load {
  private unfinished = 0;
  /** Accepted since the count under way was begun: it may not have seen them. */
  private since = 0;
  private countedAt = -Infinity;
  private counting: Promise<void> | undefined;

  constructor(
    private readonly manager: EntityManager,
    private readonly limits: Settings['limits'],
  ) {}

  /** Why no turn can be taken on at the moment, if so. */
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

  /** A turn was accepted here. */
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
      // Whoever wants to have a turn accepted will find out by themselves that the store is away.
      .catch(() => undefined)
      .finally(() => (this.counting = undefined));
    return this.counting;
  }
}
