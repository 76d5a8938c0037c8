import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { IdempotencyKey } from '#database/entities/idempotency-key.entity.js';
import type { RequestKey } from '#database/request-key.js';
import { ServiceError } from '#errors/service-error.js';

/** Finds the effects of earlier requests with a key. The statement with a request's effect also stores its key. */
@Injectable()
export class KeptRequests {
  constructor(private readonly manager: EntityManager) {}

  /**
   * Finds the effect of the user's earlier request with this key; undefined: there is no key, or it is new. @throws ServiceError
   * `idempotency_key_reused` when the key was used for another request
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
