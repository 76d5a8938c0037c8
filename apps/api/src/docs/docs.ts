import { readFile } from 'node:fs/promises';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { CONTRACT_FILE } from '#contract/file.js';
import { etagOf, ifNoneMatch } from '../http/etag.js';

/** Serves the contract: the file itself at `/openapi.yaml`, and Swagger UI showing that file at `/docs`. */
export async function serveDocs(app: NestFastifyApplication): Promise<void> {
  const yaml = await readFile(CONTRACT_FILE, 'utf8');
  const etag = etagOf(yaml);
  const fastify = app.getHttpAdapter().getInstance();
  fastify.get('/openapi.yaml', (request, reply) => {
    void reply.header('cache-control', 'no-cache').header('etag', etag);
    if (ifNoneMatch(request.headers['if-none-match'], etag) === 'hit') return reply.status(304).send();
    return reply.type('application/yaml; charset=utf-8').send(yaml);
  });
  // What Swagger UI makes itself says nothing of how long it may be kept; its files do.
  fastify.addHook('onSend', (request, reply, payload, done) => {
    if (/^\/docs(\/|$)/.test(request.routeOptions.url ?? '') && !reply.hasHeader('cache-control')) {
      void reply.header('cache-control', 'no-cache');
    }
    done(null, payload);
  });
  // With no document to embed, Swagger UI reads the file from its address. Whatever `?url=` says is ignored.
  SwaggerModule.setup('docs', app, () => undefined as unknown as OpenAPIObject, {
    customSiteTitle: 'Rejoinder: the contract',
    // No other address can be asked for here, and the contract has no links.
    customCss: '.swagger-ui .topbar .download-url-wrapper, .swagger-ui .response-col_links { display: none }',
    // The page itself does not tell phones their width.
    customJsStr: `document.head.append(Object.assign(document.createElement('meta'),
      { name: 'viewport', content: 'width=device-width, initial-scale=1' }))`,
    swaggerUrl: '/openapi.yaml',
    raw: false,
    swaggerOptions: {
      persistAuthorization: true,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      defaultModelsExpandDepth: 0,
    },
  });
}
