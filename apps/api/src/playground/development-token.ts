import { BlockList, isIPv6 } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { invalidField, ServiceError } from '#errors/service-error.js';
import type { Settings } from '#settings/settings.js';
import { isUserId } from '../auth/jwt.strategy.js';
import { signToken } from '../auth/sign-token.js';

export const TOKEN_PATH = '/playground/token';

/** How long such a token is valid, in seconds: as long as a token of `npm run token`. */
const LIFE_SECONDS = 24 * 60 * 60;

/** The names by which a browser calls its own machine. */
const OWN_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Headers that proxies add. Behind a proxy every caller seems to be on this machine. */
const PROXIED = /^(via|forwarded|x-forwarded-.*|x-real-ip|x-client-ip|x-original-.*|cf-.*)$/;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether this service gives tokens to the playground: in development, while no secret is set. */
export function givesTokens({ production, jwt }: Settings): boolean {
  return !production && jwt.development;
}

/**
 * Gives the playground a token for any user it names, so that it works at once. The page must come from this machine, by one of its own
 * names. Requests of another site's page, or of another machine, get the answer of an unknown path.
 */
export function serveDevelopmentTokens(fastify: FastifyInstance, { jwt }: Settings): void {
  fastify.post(TOKEN_PATH, async (request, reply) => {
    if (!isFromOwnPage(request)) throw new ServiceError('not_found', 'There is nothing at this address.');
    const { user } = (request.body ?? {}) as { user?: unknown };
    if (!isUserId(user)) throw invalidField('user', 'must be a name of 1 to 255 characters');
    const expiresAt = new Date(Date.now() + LIFE_SECONDS * 1_000).toISOString();
    return reply
      .header('cache-control', 'no-store')
      .type('application/json; charset=utf-8')
      .send(JSON.stringify({ token: signToken(user, jwt, LIFE_SECONDS), expires_at: expiresAt }));
  });
}

/**
 * The peer's address shows that the request comes from this machine, `Host` that the browser used no foreign name, and `Origin` that no
 * other site's page sent it.
 */
function isFromOwnPage({ socket, headers }: FastifyRequest): boolean {
  const { host = '', origin } = headers;
  if (!isLoopback(socket.remoteAddress ?? '') || Object.keys(headers).some((name) => PROXIED.test(name))) return false;
  if (!OWN_NAMES.has(host.replace(/:\d+$/, '').toLowerCase())) return false;
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host.toLowerCase());
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return LOOPBACK.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}
