import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import type { Settings } from '#settings/settings.js';
import { ifNoneMatch } from '../http/etag.js';
import { pageHeaders } from '../http/security-headers.js';
import { BUILT, type PageFile, pageFile, readBuiltPage } from './built-page.js';
import { givesTokens, serveDevelopmentTokens } from './development-token.js';

/** The page may load only its own files, and call only its own service. */
const HEADERS = pageHeaders({
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'"],
  'connect-src': ["'self'"],
  // The browser refuses to turn text into HTML, even if the page has a mistake.
  'require-trusted-types-for': ["'script'"],
  'trusted-types': ["'none'"],
});

/** This mark tells the page that it may ask for a token. Where it may not, the content is `token`. */
const SIGN_IN = '<meta name="sign-in" content="development" />';

/**
 * Serves the playground: the page at `/`, its files below `/assets`, and in development its tokens. Like `/docs`, it is no part of the
 * contract. It uses the API as any other front-end does.
 */
export async function servePlayground(fastify: FastifyInstance, settings: Settings, directory = BUILT): Promise<void> {
  const built = await readBuiltPage(directory);
  if (built === undefined) {
    // The API starts without the page, since the API matters more.
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
