import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { ServiceError } from '#errors/service-error.js';
import { countUnfinished } from '#limits/unfinished-turns.js';
import type { Settings } from '#settings/settings.js';
import { refusedFor } from './limit-metrics.js';

/** How long a count is used, in milliseconds. */
const FRESH_MS = 1_000;

const RETRY_AFTER_SECONDS = '5';

/**
 * Keeps the service from accepting more turns than it can finish: beyond a number of unfinished turns it is better to refuse at once. They
 * are counted at most once a second while turns come; what this process accepts in between is added. So the limit may be exceeded by what
 * other processes accept within a second.
 */
@Injectable()
export class Capacity {
  private unfinished = 0;
  /** Accepted since the current count began, which may not have seen them. */
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
      // A request that has a turn to send finds out by itself that the store is away.
      .catch(() => undefined)
      .finally(() => (this.counting = undefined));
    return this.counting;
  }
}
