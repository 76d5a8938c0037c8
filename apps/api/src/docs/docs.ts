import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONTRACT_FILE, ROOT } from '#process/root.js';
import { etagOf, ifNoneMatch } from '../http/etag.js';
import { pageHeaders } from '../http/security-headers.js';

/** Swagger UI's files. They are served from the installed package, since no bundle contains them. */
const UI = join(ROOT, 'node_modules/swagger-ui-dist');

/** The typed client, packed when this service was built, so that both fit together. */
const CLIENT = join(ROOT, 'dist/client/client.tgz');

/** The files that the page loads, with their types. Other files of the package are not served, since they reveal versions. */
const FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-16x16.png': 'image/png',
  'favicon-32x32.png': 'image/png',
};

/** Swagger UI may load its own files and call the service. Its style sheet contains its pictures. */
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
 * The page of @nestjs/swagger is not used: it contains scripts and styles, which its policy would have to allow, and it serves the whole
 * package, with its version.
 */
export async function serveDocs(fastify: FastifyInstance): Promise<void> {
  const yaml = await readFile(CONTRACT_FILE);
  serve(fastify, '/openapi.yaml', 'application/yaml; charset=utf-8', async () => yaml);
  serve(fastify, '/client.tgz', 'application/gzip', () => readFile(CLIENT));
  // The page's files have relative addresses, so that the page also works below a path of a proxy.
  serve(fastify, '/docs', 'text/html; charset=utf-8', async () => pageAt('docs/'));
  serve(fastify, '/docs/', 'text/html; charset=utf-8', async () => pageAt(''));
  serve(fastify, '/docs/page.css', 'text/css; charset=utf-8', async () => STYLE);
  serve(fastify, '/docs/page.js', 'text/javascript; charset=utf-8', async () => SCRIPT);
  for (const [name, type] of Object.entries(FILES)) {
    // The file is read on request: most processes never need it.
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

/** The page. `files`: the relative address of its files. */
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

/** The styles keep lines readable, need little space above the first operation, and hide the column of links, which the contract lacks. */
const STYLE = `html { box-sizing: border-box; overflow-y: scroll; background: #fafafa; }
*, *::before, *::after { box-sizing: inherit; }
body { margin: 0; }
.swagger-ui .response-col_links { display: none; }
.swagger-ui .wrapper { max-width: 1200px; }
.swagger-ui :is(.markdown, .renderedMarkdown) :is(p, li, table, pre) { max-width: 44rem; font-size: 14px; line-height: 1.4; }
.swagger-ui :is(.markdown, .renderedMarkdown) p { margin: 0.6em 0; }
.swagger-ui .info { margin: 12px 0 4px; }
.swagger-ui .info hgroup.main { margin: 0 0 8px; }
.swagger-ui .info__summary, .swagger-ui .info ol { margin: 0; }
.swagger-ui .info :is(h2, h3) { margin: 12px 0 6px; font-size: 20px; }
.swagger-ui .scheme-container { margin: 0; padding: 8px 0; }
.swagger-ui .opblock-tag { padding: 6px 10px; }
.swagger-ui .more { margin: 0 0 2px; font-family: sans-serif; color: #3b4151; }
.swagger-ui .more summary { cursor: pointer; font-size: 16px; font-weight: 600; padding: 2px 0; }
@media (prefers-color-scheme: dark) {
  html { background: #1c2022; }
  .swagger-ui .more { color: #e4e6e6; }
}
`;

/** The layout has no address bar: the page shows only this contract, and ignores `?url=`. */
const SCRIPT = `const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

/* The text on all operations fills more than a screen, so its chapters are folded, except the first. */
const folded = (Info, { React, getComponent }) => (props) => {
  const [first, ...chapters] = props.specSelectors.selectInfoDescriptionField().split(/^(?=## (?!A first))/m);
  const specSelectors = { ...props.specSelectors, selectInfoDescriptionField: () => first };
  const Markdown = getComponent('Markdown', true);
  const more = chapters.map((chapter) => {
    const [title, ...text] = chapter.split('\\n');
    const summary = React.createElement('summary', null, title.replace('## ', ''));
    return React.createElement('details', { className: 'more', key: title }, summary, React.createElement(Markdown, { source: text.join('\\n') }));
  });
  return React.createElement('div', null, React.createElement(Info, { ...props, specSelectors }), more);
};

SwaggerUIBundle({
  plugins: [{ wrapComponents: { OAS31Info: folded } }],
  url: new URL('../openapi.yaml', document.currentScript.src).href,
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
});
`;
