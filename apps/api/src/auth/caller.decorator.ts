import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Caller } from './jwt.strategy.js';

/** The user of a request; '': no token was required. */
export const userIdOf = (request: FastifyRequest): string => (request as { user?: Caller }).user?.userId ?? '';

const callerOf = (context: ExecutionContext): Caller => context.switchToHttp().getRequest<{ user: Caller }>().user;

/** The caller, from the verified token alone. */
export const TheCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => callerOf(context));

/** The caller's user id. */
export const UserId = createParamDecorator((_: unknown, context: ExecutionContext): string => callerOf(context).userId);
