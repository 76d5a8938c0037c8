import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import { nothingHere, ServiceError } from '#errors/service-error.js';
import { type Caller, tokenIn } from './jwt.strategy.js';
import { PUBLIC } from './public.decorator.js';
import { REQUIRES } from './requires.decorator.js';
import { TokenFault } from './token-fault.js';
import { VerifiedTokens } from './verified-tokens.js';

interface Asking {
  user?: Caller;
  readonly headers: { readonly authorization?: string };
}

/**
 * Closes every route that is not public, and routes that require a scope to tokens without it. The token was checked before the body was
 * read (see early-guard.ts); if not, it is checked now.
 */
@Injectable()
export class BearerGuard extends AuthGuard('jwt') {
  constructor(
    private readonly reflector: Reflector,
    private readonly tokens: VerifiedTokens,
  ) {
    super();
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, targets)) return true;
    const request = context.switchToHttp().getRequest<Asking>();
    request.user ??= await this.caller(request, context);
    // The body, or an earlier request on the connection, may have taken long.
    if (Date.now() >= request.user.endsAt) throw refusal(new TokenFault('it has expired'));
    const scope = this.reflector.getAllAndOverride<string | undefined>(REQUIRES, targets);
    // The answer is that of an unknown path: a caller without the scope must not learn that the route exists.
    if (scope !== undefined && !request.user.scopes.has(scope)) throw nothingHere();
    return true;
  }

  /** The reason is for the log. */
  override handleRequest<User>(error: unknown, user: User | false, reason: unknown): User {
    if (user === false || error) throw (error ?? reason ?? new TokenFault('it names no user')) as Error;
    return user;
  }

  private async caller(request: Asking, context: ExecutionContext): Promise<Caller> {
    const { authorization = '' } = request.headers;
    return (
      (await this.tokens.find(authorization)) ??
      this.tokens.verify(authorization, async () => {
        await this.authenticate(context);
        return request.user as Caller;
      })
    );
  }

  /**
   * Each failure counts as the token's fault, unless its key cannot be fetched. The answer does not give the reason, which would help a
   * forger.
   */
  private async authenticate(context: ExecutionContext): Promise<void> {
    try {
      const { authorization = '' } = context.switchToHttp().getRequest<Asking>().headers;
      if (tokenIn(authorization) === null) throw new TokenFault('there is no bearer token');
      await super.canActivate(context);
    } catch (cause) {
      if (cause instanceof ServiceError) throw cause;
      throw refusal(cause);
    }
  }
}

function refusal(cause: unknown): ServiceError {
  return new ServiceError('unauthorized', 'A valid bearer token is required.', {
    headers: { 'www-authenticate': 'Bearer realm="rejoinder"' },
    cause,
  });
}
