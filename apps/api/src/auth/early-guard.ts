import { Reflector } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { isHidden } from '../http/hidden.js';
import { assertAcceptable } from '../http/negotiation.js';
import { BearerGuard } from './auth.guard.js';
import { Requires } from './requires.decorator.js';
import { VerifiedTokens } from './verified-tokens.js';

/** Where the contract's operations are that want a token. */
const CLOSED_PREFIX = '/api/';

/** What the guard looks at instead of a handler: any route that wants a token. */
class ClosedRoute {}

/** The same for any route of operators. */
@Requires('admin')
class OperatorsRoute {}

const handler = (): void => undefined;

/**
 * Asks for the token before anything else of a request is looked at, and then for a type that its caller can read. So nobody without
 * a token makes us read and parse a body, and where operators' operations are, no 406, 413 or 415 tells others that there is something.
 *
 * It goes by the route that was found, not by the address, of which there are many ways to write it. A route that this misses is
 * still closed: its own guard asks for the token, if nobody has.
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
