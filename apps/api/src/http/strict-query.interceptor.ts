import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import type { Observable } from 'rxjs';
import { ServiceError } from '#errors/service-error.js';
import { PUBLIC } from '../auth/public.decorator.js';
import { unknownFields } from './validation.pipe.js';

/**
 * Refuses a query where an operation takes none: a client must learn that a misspelt or misplaced field has no effect. Operations with a
 * query have a DTO for it. Public operations are for probes, which may send anything.
 */
@Injectable()
export class StrictQueryInterceptor implements NestInterceptor {
  constructor(private readonly reflector: Reflector) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const fields = Object.keys(context.switchToHttp().getRequest<FastifyRequest>().query as object);
    if (fields.length > 0 && !this.takesQuery(context)) {
      const details = unknownFields(fields);
      throw new ServiceError('validation_failed', 'The request has invalid fields.', { details });
    }
    return next.handle();
  }

  private takesQuery(context: ExecutionContext): boolean {
    const handler = context.getHandler();
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, [handler, context.getClass()])) return true;
    const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), handler.name) ?? {}) as object;
    return Object.keys(parameters).some((key) => key.startsWith(`${RouteParamtypes.QUERY}:`));
  }
}
