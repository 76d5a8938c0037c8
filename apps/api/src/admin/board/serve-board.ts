import { getQueueToken } from '@nestjs/bullmq';
import { Logger } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Queue } from 'bullmq';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { nothingHere } from '#errors/service-error.js';
import { UserTags } from '#database/user-tags.js';
import { line } from '#process/log-line.js';
import { REPLY_QUEUE } from '#queue/connection.js';
import type { Settings } from '#settings/settings.js';
import { BOARD_PREFIX } from '../../http/hidden.js';
import { pageHeaders } from '../../http/security-headers.js';
import type { Board } from './board.js';
import { BoardSessions } from './sessions.js';

const COOKIE = 'rejoinder_admin';
const ENTER = `${BOARD_PREFIX}/enter`;

/** The board, from there. */
const FROM_ENTER = '../queues';

/** The board runs its own files and talks to where it came from; its style sheets set in scripts are the one thing it needs beyond that. */
const HEADERS = {
  ...pageHeaders({
    'script-src': ["'self'"],
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:'],
    'font-src': ["'self'"],
    'connect-src': ["'self'"],
    'base-uri': ["'self'"],
  }),
  'cache-control': 'no-store',
};

/**
 * Serves Bull Board at `/admin/queues`, to browsers that an operator's link has signed in (`POST /api/v1/admin/sessions`). To all others
 * there is nothing at these addresses. Like `/docs`, it is no part of the contract.
 *
 * It only shows: of the board's own routes those that change something are not there. A ticket is nothing but a delivery, and to
 * retry or remove one would change no job.
 */
export function serveBoard(app: NestFastifyApplication, { production }: Settings): void {
  const logger = new Logger('board');
  const fastify = app.getHttpAdapter().getInstance();
  const sessions = app.get(BoardSessions);
  let board: Promise<Board> | undefined;

  /** Loaded when somebody comes for it: most processes never need it. */
  const loadBoard = (): Promise<Board> =>
    (board ??= import('./board.js').then(({ Board }) => Board.of(app.get<Queue>(getQueueToken(REPLY_QUEUE)))));

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const secret = readCookie(request.headers.cookie);
    if (secret === undefined || !(await sessions.isOpen(secret))) throw nothingHere();
    const path = request.url.split('?', 1)[0] ?? '';
    const found = await (await loadBoard()).answer(path.slice(BOARD_PREFIX.length) || '/', request);
    if (found === undefined) throw nothingHere();
    const { status, type, body, cacheControl } = found;
    void reply.headers({ ...HEADERS, ...(cacheControl !== undefined && { 'cache-control': cacheControl }) });
    return reply.status(status).type(type).send(body);
  };
  fastify.get(BOARD_PREFIX, answer);
  fastify.get(`${BOARD_PREFIX}/*`, answer);

  // A HEAD would use up the link.
  fastify.get(ENTER, { exposeHeadRoute: false }, async (request, reply) => {
    const { key } = request.query as { key?: unknown };
    const session = typeof key === 'string' ? await sessions.open(key) : undefined;
    if (session === undefined) throw nothingHere();
    logger.log(line('the board was opened', { operator: app.get(UserTags).tagOf(session.userId) }));
    const age = Math.max(0, Math.floor((session.until.getTime() - Date.now()) / 1_000));
    // Without a path it is for what lies beside this address: for the board, also below a path of a proxy (RFC 6265, section 5.1.4).
    const parts = [`${COOKIE}=${session.secret}`, `Max-Age=${age}`, 'HttpOnly', 'SameSite=Strict'];
    if (production) parts.push('Secure');
    void reply.headers({ ...HEADERS, 'set-cookie': parts.join('; ') });
    return reply.type('text/html; charset=utf-8').send(WELCOME);
  });
}

/**
 * A page that goes on by itself. After a redirect the cookie would be missing when the link was followed from another site: it is for
 * requests of this one only.
 */
const WELCOME = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="refresh" content="0; url=${FROM_ENTER}" />
    <link rel="icon" href="data:," />
    <title>Rejoinder: the board</title>
  </head>
  <body>
    <main><h1>Signed in</h1><p><a href="${FROM_ENTER}">Go on to the board</a></p></main>
  </body>
</html>
`;

function readCookie(header: string | undefined): string | undefined {
  const cookies = (header ?? '').split(';').map((cookie) => cookie.trim());
  return cookies.find((cookie) => cookie.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
}
