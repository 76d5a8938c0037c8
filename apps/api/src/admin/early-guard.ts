import { Reflector } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { BearerGuard } from '../auth/auth.guard.js';
import { Requires } from '../auth/requires.decorator.js';
import { ADMIN_PREFIX, isHidden } from '../http/hidden.js';
import { assertAcceptable } from '../http/negotiation.js';

/** What the guard looks at instead of a handler: any route of operators. */
@Requires('admin')
class OperatorsRoute {}

const handler = (): void => undefined;

/**
 * Asks for the token before anything else is looked at, where operators' operations are. Elsewhere `Accept` and the body come first;
 * here a 406, 413 or 415 would tell everybody that there is something. The route's own guard asks once more.
 */
export function guardOperators(app: NestFastifyApplication): void {
  const guard = new BearerGuard(app.get(Reflector));
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRequest', async (request, reply) => {
      const route = request.routeOptions.url ?? '';
      if (request.is404 || !isHidden(route) || !route.startsWith(ADMIN_PREFIX)) return;
      await guard.canActivate(new ExecutionContextHost([request, reply], OperatorsRoute, handler));
      assertAcceptable(request);
    });
}
