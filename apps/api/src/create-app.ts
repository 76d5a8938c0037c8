import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorBody } from '#errors/error-body.js';
import { translate } from '#errors/translate.js';
import { AppLogger } from '#process/logger.js';
import { requestId, sendRequestId } from '#process/request-id.js';
import type { Settings } from '#settings/settings.js';
import { AppModule } from './app.module.js';
import { guardEarly } from './http/early-guard.js';
import { serveDocs } from './docs/docs.js';
import { ConnectionBounds } from './http/connection-bounds.js';
import { Connections } from './http/connections.js';
import { answerPreflights, Origins, sendOrigins } from './http/cors.js';
import { answerEarlyRequests } from './http/gentle-end.js';
import { sendNoFalseLength } from './http/head.js';
import { acceptJsonOnly } from './http/json-body.js';
import { mostConnections } from './http/most-connections.js';
import { negotiate } from './http/negotiation.js';
import { answerRawError, refuseTunnels } from './http/raw-errors.js';
import { checkHeads, originForm } from './http/request-head.js';
import { keepRequestsInOrder } from './http/request-order.js';
import { answerWrongMethods, KnownRoutes } from './http/routes.js';
import { SECURITY_HEADERS, sendSecurityHeaders } from './http/security-headers.js';
import { keepUnusedOpen } from './http/unused-connections.js';
import { servePlayground } from './playground/playground.js';

/** The path of the contract's operations. */
const API_PREFIX = '/api/v1';

const LARGEST_BODY_BYTES = 256 * 1024;

/** How long a client may take to send its whole request, in milliseconds (Fastify has no limit by default). */
const REQUEST_TIMEOUT_MS = 30_000;

/** How long a client may take to send the headers, in milliseconds. */
const HEADERS_TIMEOUT_MS = 15_000;

/**
 * A connection without any traffic for this long, in milliseconds, is closed: otherwise a client that does not read its answer could hold
 * it for ever. The time is longer than any request waits, and longer than the time between two beats.
 */
const SILENCE_TIMEOUT_MS = 90_000;

/**
 * The longest parameter of a path: a user's id of 255 characters. The router leaves reserved characters encoded, in three characters each.
 */
const LONGEST_PARAMETER = 3 * 255;

/** The API app, ready to listen. */
export async function createApp(settings: Settings): Promise<NestFastifyApplication> {
  const connections = new Connections();
  const origins = new Origins(settings.corsOrigins, `${API_PREFIX}/`, settings.corsLocalhost);
  const adapter: FastifyAdapter = new FastifyAdapter({
    bodyLimit: LARGEST_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: SILENCE_TIMEOUT_MS,
    keepAliveTimeout: settings.keepAliveMs,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      // How often Node looks for requests that take too long. With its default, 30 s, they could take twice their time.
      connectionsCheckingInterval: 2_000,
      // Node would answer in its own words: see `checkHeads`.
      requireHostHeader: false,
    },
    // Requests that arrive while the process stops are served, or refused with our own errors.
    return503OnClosing: false,
    genReqId: requestId,
    rewriteUrl: originForm,
    clientErrorHandler: (error, socket) => answerRawError(error, socket, connections, origins),
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      answerFrameworkError(error, request, reply, origins),
    routerOptions: { maxParamLength: LONGEST_PARAMETER },
  });
  const fastify = adapter.getInstance();
  connections.watch(fastify.server);
  keepUnusedOpen(fastify.server, settings.keepAliveMs);
  sendRequestId(fastify);
  sendSecurityHeaders(fastify);
  sendOrigins(fastify, origins);
  new ConnectionBounds(fastify, connections, mostConnections(settings.maxConnections));
  const routes = new KnownRoutes(fastify);
  answerPreflights(fastify, origins, routes);
  checkHeads(fastify);
  refuseTunnels(fastify, connections, origins);
  keepRequestsInOrder(fastify, connections);
  answerEarlyRequests(fastify);
  answerWrongMethods(fastify, routes);
  sendNoFalseLength(fastify);
  await negotiate(fastify);

  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(settings, connections), adapter, {
    bodyParser: false,
    logger: new AppLogger(settings, 'api'),
    abortOnError: false,
  });
  guardEarly(app);
  acceptJsonOnly(fastify);
  await serveDocs(fastify);
  if (settings.playground) await servePlayground(fastify, settings);
  return app;
}

/** Answers addresses that cannot be decoded: they reach no route, and so not the error filter. */
function answerFrameworkError(thrown: Error, request: FastifyRequest, reply: FastifyReply, origins: Origins): void {
  const error = translate(thrown);
  void reply
    .status(error.status)
    .headers({ ...SECURITY_HEADERS, ...origins.headersFor(request.headers.origin, request.url) })
    .headers({ 'x-request-id': request.id, 'cache-control': 'no-store' })
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(error, request.id)));
}
