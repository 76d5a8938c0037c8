import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { IdempotencyKey } from '#database/entities/idempotency-key.entity.js';
import type { RequestKey } from '#database/request-key.js';
import { ServiceError } from '#errors/service-error.js';

/** What earlier requests with a key came to. The keys are kept by the statements that bring the effects about. */
@Injectable()
export class KeptRequests {
  constructor(private readonly manager: EntityManager) {}

  /**
   * What the user's request with this key came to; undefined when there is no key, or it is new.
   * @throws ServiceError `idempotency_key_reused` when the key was used for something else
   */
  async find(
    userId: string,
    request: RequestKey | undefined,
    manager: EntityManager = this.manager,
  ): Promise<IdempotencyKey | undefined> {
    if (request === undefined) return undefined;
    const kept = await manager.findOneBy(IdempotencyKey, { userId, key: request.key });
    if (kept === null) return undefined;
    if (kept.fingerprint.equals(request.fingerprint)) return kept;
    throw new ServiceError('idempotency_key_reused', 'This Idempotency-Key was used for another request.');
  }
}
