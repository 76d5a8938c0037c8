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

/** Stands for the handler that the guard reads: any route that requires a token. */
class ClosedRoute {}

/** The same for any route of operators. */
@Requires('admin')
class OperatorsRoute {}

const handler = (): void => undefined;

/**
 * Checks the token before anything else of a request, then whether the caller accepts one of the route's types. So the service reads no
 * body without a token, and no 406, 413 or 415 tells others that an operators' operation exists.
 *
 * It goes by the route that was found, not by the address, which can be written in many ways. A route that it misses is still closed: its
 * own guard checks the token.
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
