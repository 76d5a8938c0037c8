import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import type { Settings } from '#settings/settings.js';
import { ifNoneMatch } from '../http/etag.js';
import { pageHeaders } from '../http/security-headers.js';
import { BUILT, type PageFile, pageFile, readBuiltPage } from './built-page.js';
import { givesTokens, serveDevelopmentTokens } from './development-token.js';

/** The page runs its own files and talks to its own service, nothing else. */
const HEADERS = pageHeaders({
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'"],
  'connect-src': ["'self'"],
  // Nothing that anybody has written is ever turned into HTML, by whatever mistake: the browser refuses to.
  'require-trusted-types-for': ["'script'"],
  'trusted-types': ["'none'"],
});

/** The mark by which the page knows whether it may ask for a token; replaced where it may not. */
const SIGN_IN = '<meta name="sign-in" content="development" />';

/**
 * Serves the playground: the page at `/`, what it loads below `/assets`, and in development its tokens. Like `/docs`, it is
 * no part of the contract; it uses the contract as any other front-end does.
 */
export async function servePlayground(fastify: FastifyInstance, settings: Settings, directory = BUILT): Promise<void> {
  const built = await readBuiltPage(directory);
  if (built === undefined) {
    // The API matters more than the page, and starts without it.
    new Logger('playground').warn(
      `The playground is not built (nothing in ${fileURLToPath(directory)}): npm run build.`,
    );
    fastify.get('/', async () => {
      throw new ServiceError('not_found', 'The playground is not built. Run `npm run build`, and restart.');
    });
    return;
  }
  const development = givesTokens(settings);
  const html = development ? built.html : built.html.replace(SIGN_IN, SIGN_IN.replace('development', 'token'));
  serve(fastify, { ...pageFile('/index.html', Buffer.from(html)), path: '/' }, 'no-cache');
  for (const file of built.assets) serve(fastify, file, 'public, max-age=31536000, immutable');
  if (development) serveDevelopmentTokens(fastify, settings);
}

function serve(fastify: FastifyInstance, { path, type, body, etag }: PageFile, cacheControl: string): void {
  fastify.get(path, async (request: FastifyRequest, reply: FastifyReply) => {
    void reply.headers({ ...HEADERS, 'cache-control': cacheControl, etag });
    if (ifNoneMatch(request.headers['if-none-match'], etag) === 'hit') return reply.status(304).send();
    return reply.type(type).send(body);
  });
}
