import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import { ServiceError } from '#errors/service-error.js';
import { PUBLIC } from './public.decorator.js';

/** Closes every route that is not marked public. */
@Injectable()
export class BearerGuard extends AuthGuard('jwt') {
  constructor(private readonly reflector: Reflector) {
    super();
  }

  /**
   * Whatever goes wrong on the way is the token's fault, for no store is asked. The reason stays out of the answer: it would
   * tell a forger what to mend.
   */
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, [context.getHandler(), context.getClass()])) return true;
    try {
      return (await super.canActivate(context)) as boolean;
    } catch (cause) {
      throw new ServiceError('unauthorized', 'A valid bearer token is required.', {
        headers: { 'www-authenticate': 'Bearer realm="rejoinder"' },
        cause,
      });
    }
  }
}
