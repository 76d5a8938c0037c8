import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import { userIdOf } from '../auth/caller.decorator.js';
import { etagOf, ifMatchHolds, ifNoneMatch } from './etag.js';

/**
 * The preconditions of a request (RFC 9110, section 13). They count only where the request would succeed without them (section 13.2.1), so
 * they are checked once the resource was found: first `If-Match`, then `If-None-Match` (section 13.2.2). No resource has a `Last-Modified`
 * here, so `If-Modified-Since` and `If-Unmodified-Since` are ignored.
 */
export class Preconditions {
  constructor(
    private readonly userId: string,
    private readonly ifMatch: string | undefined,
    private readonly ifNoneMatch: string | undefined,
  ) {}

  static of(request: FastifyRequest): Preconditions {
    const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
    return new Preconditions(userIdOf(request), ifMatch, ifNoneMatch);
  }

  /** Whether the request has preconditions. */
  get any(): boolean {
    return this.ifMatch !== undefined || this.ifNoneMatch !== undefined;
  }

  /** @throws ServiceError `precondition_failed` when a resource in this state may not be changed */
  assertMayChange(representation: object): void {
    if (!this.any) return;
    const etag = etagOf(JSON.stringify(representation), this.userId);
    this.assertMatch(etag);
    if (ifNoneMatch(this.ifNoneMatch, etag) !== 'missed')
      throw failed('The resource has an ETag that If-None-Match rules out.');
  }

  /** @returns whether the caller has this representation already: 304 @throws ServiceError `precondition_failed` */
  isKnown(etag: string): boolean {
    this.assertMatch(etag);
    return ifNoneMatch(this.ifNoneMatch, etag) === 'hit';
  }

  private assertMatch(etag: string): void {
    if (!ifMatchHolds(this.ifMatch, etag)) throw failed('The resource has changed since it was read.');
  }
}

function failed(message: string): ServiceError {
  return new ServiceError('precondition_failed', message);
}

/** The request's preconditions. */
export const ThePreconditions = createParamDecorator((_: unknown, context: ExecutionContext): Preconditions =>
  Preconditions.of(context.switchToHttp().getRequest<FastifyRequest>()),
);
