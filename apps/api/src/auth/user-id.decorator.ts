import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Caller } from './jwt.strategy.js';

/** The caller's user id: what the verified token says, and nothing else. */
export const UserId = createParamDecorator((_: unknown, context: ExecutionContext): string => {
  return context.switchToHttp().getRequest<{ user: Caller }>().user.userId;
});
