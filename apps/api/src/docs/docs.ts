import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONTRACT_FILE } from '#contract/file.js';
import { ROOT } from '#process/root.js';
import { etagOf, ifNoneMatch } from '../http/etag.js';
import { pageHeaders } from '../http/security-headers.js';

/** Swagger UI's files. They are read from where they were installed: no bundle holds them. */
const UI = join(ROOT, 'node_modules/swagger-ui-dist');

/** The typed client, packed when this service was built: so it is the one that fits. */
const CLIENT = join(ROOT, 'dist/client/client.tgz');

/** Those that the page loads, with their types. Of what else lies beside them nothing is served: it tells versions. */
const FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-16x16.png': 'image/png',
  'favicon-32x32.png': 'image/png',
};

/** Swagger UI runs its own files and asks the service; its pictures are in its style sheet. */
const HEADERS = {
  ...pageHeaders({
    'script-src': ["'self'"],
    'style-src': ["'self'"],
    'img-src': ["'self'", 'data:'],
    'connect-src': ["'self'"],
  }),
  'cache-control': 'no-cache',
};

/**
 * Serves the contract: the file itself at `/openapi.yaml`, Swagger UI showing that file at `/docs`, and the client that is made for it at
 * `/client.tgz`, as `npm install` takes it.
 *
 * The page is written here. That of @nestjs/swagger has scripts and styles in it, which its policy would have to allow, and serves
 * the whole package, with its version.
 */
export async function serveDocs(fastify: FastifyInstance): Promise<void> {
  const yaml = await readFile(CONTRACT_FILE);
  serve(fastify, '/openapi.yaml', 'application/yaml; charset=utf-8', async () => yaml);
  serve(fastify, '/client.tgz', 'application/gzip', () => readFile(CLIENT));
  // What it loads is named from where it is, so that it works below a path of a proxy, too.
  serve(fastify, '/docs', 'text/html; charset=utf-8', async () => pageAt('docs/'));
  serve(fastify, '/docs/', 'text/html; charset=utf-8', async () => pageAt(''));
  serve(fastify, '/docs/page.css', 'text/css; charset=utf-8', async () => STYLE);
  serve(fastify, '/docs/page.js', 'text/javascript; charset=utf-8', async () => SCRIPT);
  for (const [name, type] of Object.entries(FILES)) {
    // Read when somebody comes for it: most processes never need it.
    serve(fastify, `/docs/${name}`, type, () => readFile(join(UI, name)));
  }
}

function serve(fastify: FastifyInstance, path: string, type: string, read: () => Promise<string | Buffer>): void {
  fastify.get(path, async (request: FastifyRequest, reply: FastifyReply) => {
    const body = await read();
    const etag = etagOf(body);
    void reply.headers({ ...HEADERS, etag });
    if (ifNoneMatch(request.headers['if-none-match'], etag) === 'hit') return reply.status(304).send();
    return reply.type(type).send(body);
  });
}

/** The page, for an address from which its files are found below `files`. */
const pageAt = (files: string): string => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Rejoinder: the contract</title>
    <link rel="stylesheet" href="${files}swagger-ui.css" />
    <link rel="stylesheet" href="${files}page.css" />
    <link rel="icon" type="image/png" sizes="32x32" href="${files}favicon-32x32.png" />
    <link rel="icon" type="image/png" sizes="16x16" href="${files}favicon-16x16.png" />
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="${files}swagger-ui-bundle.js"></script>
    <script src="${files}page.js"></script>
  </body>
</html>
`;

/** The contract has no links. */
const STYLE = `html { box-sizing: border-box; overflow-y: scroll; }
*, *::before, *::after { box-sizing: inherit; }
body { margin: 0; background: #fafafa; }
.swagger-ui .response-col_links { display: none; }
`;

/** Of its layouts the one without a bar for other addresses: here there is one contract, whatever `?url=` says. */
const SCRIPT = `SwaggerUIBundle({
  url: new URL('../openapi.yaml', document.currentScript.src).href,
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
});
`;
