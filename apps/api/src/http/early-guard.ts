import { Reflector } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { isHidden } from './hidden.js';
import { assertAcceptable } from './negotiation.js';
import { BearerGuard } from '../auth/auth.guard.js';
import { Requires } from '../auth/requires.decorator.js';
import { VerifiedTokens } from '../auth/verified-tokens.js';

/** The path of the contract's operations that require a token. */
const CLOSED_PREFIX = '/api/';

/** Stands in for a route's handler, whose marks the guard reads: any route that requires a token. */
class ClosedRoute {}

/** The same for any route of operators. */
@Requires('admin')
class OperatorsRoute {}

const handler = (): void => undefined;

/**
 * Checks the token of a request first, then whether the caller accepts one of the route's media types. So the service reads no body without
 * a token, and no 406, 413 or 415 reveals an operators' operation to other callers.
 *
 * It uses the route that the router found, not the address, which can be written in many ways. A route that it misses is still closed: the
 * route's own guard checks the token.
 */
export function guardEarly(app: NestFastifyApplication): void {
  const guard = new BearerGuard(app.get(Reflector), app.get(VerifiedTokens));
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRequest', async (request, reply) => {
      const route = request.routeOptions.url ?? '';
      if (request.is404 || !route.startsWith(CLOSED_PREFIX)) return;
      const target = isHidden(route) ? OperatorsRoute : ClosedRoute;
      await guard.canActivate(new ExecutionContextHost([request, reply], target, handler));
      assertAcceptable(request);
    });
}
