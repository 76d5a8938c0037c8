import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import { ServiceError } from '#errors/service-error.js';
import type { Caller } from './jwt.strategy.js';
import { PUBLIC } from './public.decorator.js';

/** Closes every route that is not marked public. */
@Injectable()
export class BearerGuard extends AuthGuard('jwt') {
  constructor(private readonly reflector: Reflector) {
    super();
  }

  override canActivate(
    context: ExecutionContext,
  ): ReturnType<InstanceType<ReturnType<typeof AuthGuard>>['canActivate']> {
    const open = this.reflector.getAllAndOverride<boolean>(PUBLIC, [context.getHandler(), context.getClass()]);
    return open ? true : super.canActivate(context);
  }

  /** Passport's verdict. The reason stays out of the answer: it would tell a forger what to mend. */
  override handleRequest<T = Caller>(error: unknown, caller: T | false): T {
    if (error instanceof Error) throw error;
    if (!caller) {
      throw new ServiceError('unauthorized', 'A valid bearer token is required.', {
        headers: { 'www-authenticate': 'Bearer realm="rejoinder"' },
      });
    }
    return caller;
  }
}
