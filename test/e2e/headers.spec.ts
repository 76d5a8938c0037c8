import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ALLOWED_HEADERS, EXPOSED_HEADERS } from '../../apps/api/src/http/cors.js';
import { Client, contract } from '../support/client.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { wire } from '../support/wire.js';

const OURS = 'https://app.example.com';
const ALSO_OURS = 'http://localhost:5173';
const OUR_APP = 'capacitor://localhost';
const THEIRS = 'https://evil.example';

/** Headers that every answer has. */
const ALWAYS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': 'same-origin',
};
const NO_PAGE = { ...ALWAYS, 'content-security-policy': "default-src 'none';frame-ancestors 'none'" };

type Ask = readonly [what: string, status: number, path: string, init?: RequestInit];

describe('every answer', () => {
  let stack: Stack;
  let ana: Client;
  let chat: string;
  let job: string;
  let etag: string;
  const token = tokenFor('ana', { scope: 'admin' });
  const authorization = `Bearer ${token}`;
  const call = (path: string, { headers, ...init }: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, stack.api.url), { redirect: 'manual', ...init, headers: { authorization, ...headers } });
  const received = async (path: string, init?: RequestInit): Promise<Record<string, unknown>> => {
    const response = await call(path, init);
    await response.text();
    return { status: response.status, ...Object.fromEntries(response.headers) };
  };

  beforeAll(async () => {
    stack = await startStack({ env: { CORS_ORIGINS: `${OURS}, ${ALSO_OURS}, ${OUR_APP}` } });
    ana = new Client(stack.api.url, token);
    chat = (await ana.chat()).id;
    job = (await ana.turn(chat, 'hello')).body.job_id;
    etag = (await ana.get(`/api/v1/chats/${chat}`)).headers.get('etag') ?? '';
  });
  afterAll(() => stack?.stop());

  const json = (body: string, headers: Record<string, string> = {}): RequestInit => ({
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  });
  /** Answers of all kinds to a caller with a valid token. */
  const asks = (): Ask[] => [
    ['a resource', 200, `/api/v1/chats/${chat}`],
    ['one that is known already', 304, `/api/v1/chats/${chat}`, { headers: { 'if-none-match': etag } }],
    ['a stream', 200, `/api/v1/jobs/${job}/events`],
    ['the end of one', 204, `/api/v1/jobs/${job}/events`, { headers: { 'last-event-id': 'end' } }],
    ['an export', 200, '/api/v1/me/export'],
    ['HEAD', 200, '/api/v1/chats', { method: 'HEAD' }],
    ['no token', 401, '/api/v1/chats', { headers: { authorization: '' } }],
    ['nothing there', 404, '/api/v1/jobs/0199a0de-0000-7000-8000-000000000000'],
    ['no such address', 404, '/api/v1/nothing'],
    ['no such method', 405, '/api/v1/chats', { method: 'PUT' }],
    ['no such type', 406, '/api/v1/chats', { headers: { accept: 'text/html' } }],
    ['too much', 413, `/api/v1/chats/${chat}/turns`, json(`{"user_message":"${'x'.repeat(300_000)}"}`)],
    ['another type', 415, `/api/v1/chats/${chat}/turns`, json('hello', { 'content-type': 'text/plain' })],
    ['bad fields', 422, `/api/v1/chats/${chat}/turns`, json('{}')],
    ['no JSON', 400, `/api/v1/chats/${chat}/turns`, json('{')],
    ['no address at all', 400, '/api/v1/chats/%zz'],
  ];

  describe('tells a browser what it may do', () => {
    it('load nothing, frame nothing, guess no type: JSON, streams, errors, and unknown addresses', async () => {
      const more: Ask[] = [
        ['health', 200, '/health/live'],
        ['no address of ours', 404, '/nothing'],
        ['an operator’s', 200, '/api/v1/admin/dispatch'],
        ['no file of the docs', 404, '/docs/package.json'],
        ['no file of the page', 404, '/assets/nothing.js'],
      ];
      for (const [what, status, path, init] of [...asks(), ...more]) {
        expect([what, await received(path, init)]).toEqual([what, expect.objectContaining({ ...NO_PAGE, status })]);
      }
    });

    it.each([
      ['no HTTP', 400, 'HELLO\r\n\r\n'],
      ['headers beyond the bound', 431, `GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`],
      ['two lengths', 400, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ])('also after a request that the parser refused: %s, %i', async (_, status, request) => {
      const answer = await wire(stack.api.url, request);
      expect(answer).toContain(`HTTP/1.1 ${status} `);
      for (const [name, value] of Object.entries({ ...NO_PAGE, 'cache-control': 'no-store' })) {
        expect(answer.toLowerCase()).toContain(`\r\n${name}: ${value.toLowerCase()}\r\n`);
      }
    });

    it.each([
      ['the playground', '/', "'self'", "'self'"],
      ['Swagger UI', '/docs', "'self'", "'self'"],
    ])('%s runs only scripts from its own files, and may not be framed', async (_, path, scripts, styles) => {
      const page = await received(path);
      expect(page).toMatchObject({ ...ALWAYS, status: 200, 'cross-origin-opener-policy': 'same-origin' });
      const policy = String(page['content-security-policy']).split(';');
      expect(policy).toEqual(
        expect.arrayContaining(["default-src 'none'", "form-action 'none'", "frame-ancestors 'none'"]),
      );
      expect(policy).toContain(`script-src ${scripts}`);
      expect(policy).toContain(`style-src ${styles}`);
    });

    it('and names no software of the service', async () => {
      for (const [what, , path, init] of [...asks(), ['a page', 200, '/'], ['the docs', 200, '/docs']] as Ask[]) {
        const answer = await received(path, init);
        expect([what, answer['server'], answer['x-powered-by'], answer['via']]).toEqual([what, ...Array(3)]);
      }
    });

    it('only the files of Swagger UI that the page loads are served', async () => {
      const page = await (await call('/docs')).text();
      const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => path);
      expect(files.length).toBeGreaterThan(4);
      for (const path of files) expect([path, (await received(path)).status]).toEqual([path, 200]);
      for (const name of [
        'package.json',
        'README.md',
        'swagger-ui.js',
        'index.html',
        'oauth2-redirect.html',
        '..%2f',
      ]) {
        expect([name, (await received(`/docs/${name}`)).status]).toEqual([name, 404]);
      }
      const known = (await received('/docs/swagger-ui-bundle.js')).etag as string;
      expect((await received('/docs/swagger-ui-bundle.js', { headers: { 'if-none-match': known } })).status).toBe(304);
    });
  });

  describe('tells pages of other origins, by CORS,', () => {
    const from = (origin: string, init: RequestInit = {}): RequestInit => ({
      ...init,
      headers: { ...(init.headers as Record<string, string>), origin },
    });
    const preflight = (
      path: string,
      origin: string,
      method = 'POST',
      more: Record<string, string> = {},
    ): Promise<Record<string, unknown>> =>
      received(path, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': method, authorization: '', ...more },
      });
    /** As a browser asks which headers a page may send: in small letters, in order. */
    const allowed = async (names: string): Promise<string[]> => {
      const asking = { 'access-control-request-headers': names };
      const answer = await preflight(`/api/v1/chats/${chat}`, OURS, 'PATCH', asking);
      expect(answer).toMatchObject({ status: 204, vary: 'Origin, Access-Control-Request-Headers' });
      return String(answer['access-control-allow-headers']).toLowerCase().split(', ');
    };
    const ofCors = (answer: Record<string, unknown>): string[] =>
      Object.keys(answer).filter((name) => name.startsWith('access-control-'));

    it('on the list that they may read every answer, with its useful headers', async () => {
      for (const [what, status, path, init] of asks()) {
        const answer = await received(path, from(OURS, init));
        expect([what, answer]).toEqual([
          what,
          expect.objectContaining({
            status,
            'access-control-allow-origin': OURS,
            'access-control-expose-headers': EXPOSED_HEADERS.join(', '),
            vary: expect.stringMatching(/\bOrigin\b/),
          }),
        ]);
        expect(answer['access-control-allow-credentials']).toBeUndefined();
      }
      for (const also of [ALSO_OURS, OUR_APP]) {
        expect(await received('/api/v1/chats', from(also))).toMatchObject({ 'access-control-allow-origin': also });
      }
    });

    it.each([
      ['headers beyond the bound', 431, `X-Big: ${'x'.repeat(20_000)}\r\n\r\n`],
      ['two lengths', 400, 'Content-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ])('on the list to read what the parser refused, too: %s, %i', async (_, status, rest) => {
      const ask = async (path: string, origin: string): Promise<string> => {
        const answer = await wire(stack.api.url, `POST ${path} HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\n${rest}`);
        expect(answer).toContain(`HTTP/1.1 ${status} `);
        expect(answer).toMatch(/\r\nvary: Origin\r\n/i);
        return /\r\naccess-control-allow-origin: (.*)\r\n/i.exec(answer)?.[1] ?? 'nobody';
      };
      expect(await ask('/api/v1/chats', OURS)).toBe(OURS);
      expect(await ask('/api/v1/chats', THEIRS)).toBe('nobody');
      expect(await ask('/docs', OURS)).toBe('nobody');
      expect(await ask('/api/v1/chats', `${THEIRS}\r\nOrigin: ${OURS}`)).toBe('nobody');
    });

    it.each([[THEIRS], ['null'], [`${OURS}.evil.example`], ['https://APP.example.com'], [`${OURS}, ${THEIRS}`], ['*']])(
      'not on the list nothing, and keeps caches apart: %s',
      async (origin) => {
        for (const [what, status, path, init] of asks()) {
          const answer = await received(path, from(origin, init));
          expect([what, answer.status, ofCors(answer)]).toEqual([what, status, []]);
          expect([what, answer['vary']]).toEqual([what, expect.stringMatching(/\bOrigin\b/)]);
        }
        const asked = await preflight(`/api/v1/chats/${chat}/turns`, origin);
        expect([asked.status, ofCors(asked)]).toEqual([405, []]);
      },
    );

    it('that an answer also depends on the user and the type', async () => {
      const { vary } = await received(`/api/v1/chats/${chat}`);
      expect(vary).toBe('Origin, Authorization, Accept');
    });

    it.each([
      ['/api/v1/chats', 'GET, HEAD'],
      ['/api/v1/chats/{chat}', 'DELETE, GET, HEAD, PATCH'],
      ['/api/v1/chats/{chat}/turns', 'POST'],
      ['/api/v1/me', 'DELETE'],
    ])('which methods %s has, without a token: %s', async (path, methods) => {
      expect(await preflight(path.replace('{chat}', chat), OURS, 'PUT')).toMatchObject({
        status: 204,
        'content-length': '0',
        'access-control-allow-origin': OURS,
        'access-control-allow-methods': methods,
        'access-control-allow-headers': ALLOWED_HEADERS.join(', '),
        'access-control-max-age': '7200',
        vary: expect.stringMatching(/\bOrigin\b/),
        ...NO_PAGE,
      });
    });

    it('on the list that they may read an error within a body', async () => {
      const head = `POST /api/v1/assistants/support/chats HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nOrigin: ${OURS}`;
      const answer = await wire(
        stack.api.url,
        `${head}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      );
      expect(answer).toContain('HTTP/1.1 400 ');
      expect(answer).toContain(`\r\naccess-control-allow-origin: ${OURS}\r\n`);
    });

    it.each([
      ['W3C', 'authorization,baggage,traceparent,tracestate'],
      ['Sentry', 'authorization,baggage,sentry-trace'],
      ['Datadog', 'x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id'],
      ['New Relic', 'newrelic,traceparent,tracestate'],
      ['Zipkin', 'b3,x-b3-sampled,x-b3-spanid,x-b3-traceid'],
      ['Elastic, AWS', 'elastic-apm-traceparent,x-amzn-trace-id'],
      ['a name of its own', 'x-my.app_1'],
    ])('that they may send the headers of monitoring libraries: %s', async (_, names) => {
      expect(await allowed(names)).toEqual(expect.arrayContaining(names.split(',')));
    });

    it('nothing about header names that are invalid, or too many', async () => {
      const ours = ALLOWED_HEADERS.map((name) => name.toLowerCase());
      expect(await allowed('x y,a:b,"q",,x-ok,X-OK, prefer')).toEqual([...ours, 'x-ok']);
      const many = Array.from({ length: 500 }, (_, n) => `x-${n}`);
      expect(await allowed(['x'.repeat(101), ...many].join(','))).toEqual([...ours, ...many.slice(0, 64)]);
    });

    it('nothing about operators’ addresses that an unknown one would not say', async () => {
      const kept = ({ date: _, 'x-request-id': __, ...answer }: Record<string, unknown>): object => answer;
      const [unknown, ...hidden] = await Promise.all(
        ['nothing/at/all', 'admin/jobs', 'admin/dispatch', 'admin'].map(async (path) =>
          kept(await preflight(`/api/v1/${path}`, OURS, 'GET')),
        ),
      );
      expect(unknown).toMatchObject({ status: 404 });
      for (const answer of hidden) expect(answer).toEqual(unknown);
      const ben = { authorization: `Bearer ${tokenFor('ben')}` };
      const [nothing, board] = await Promise.all(
        ['nothing', 'admin/dispatch'].map(async (path) =>
          kept(await received(`/api/v1/${path}`, from(OURS, { headers: ben }))),
        ),
      );
      expect(board).toEqual(nothing);
    });

    it('nothing about the pages and health', async () => {
      for (const path of ['/', '/docs', '/openapi.yaml', '/health/live', '/nothing']) {
        expect([path, ofCors(await received(path, from(OURS)))]).toEqual([path, []]);
        expect([path, ofCors(await preflight(path, OURS))]).toEqual([path, []]);
      }
    });

    it('that OPTIONS without a preflight is an unknown method', async () => {
      for (const init of [{ method: 'OPTIONS' }, from(OURS, { method: 'OPTIONS' })]) {
        expect(await received(`/api/v1/chats/${chat}`, init)).toMatchObject({
          status: 405,
          allow: 'DELETE, GET, HEAD, PATCH',
        });
        expect(await received('/api/v1/nothing', init)).toMatchObject({ status: 404 });
      }
    });

    it('errors of OPTIONS as of any method: in the one shape, with the request’s id, not to be stored', async () => {
      const asking = { 'access-control-request-method': 'GET' };
      const wrong: [string, number, Record<string, string>][] = [
        [`/api/v1/chats/${chat}`, 405, {}],
        [`/api/v1/chats/${chat}`, 405, { origin: THEIRS, ...asking }],
        ['/api/v1/nothing', 404, { origin: OURS, ...asking }],
        ['/api/v1/admin/jobs', 404, { origin: OURS, ...asking }],
        ['/nothing', 404, {}],
        ['/api/v1/chats/%zz', 400, { origin: OURS, ...asking }],
        ['/api/v1/chats?%zz', 400, { origin: OURS }],
      ];
      for (const [path, status, headers] of wrong) {
        const response = await call(path, { method: 'OPTIONS', headers });
        const body = (await response.json()) as { request_id: string };
        expect([path, response.status]).toEqual([path, status]);
        expect(contract.schemaFaults('/components/schemas/ErrorBody', body, path)).toEqual([]);
        expect(response.headers.get('x-request-id')).toBe(body.request_id);
        expect(response.headers.get('cache-control')).toBe('no-store');
        const reader = headers['origin'] === OURS ? OURS : null;
        expect([path, response.headers.get('access-control-allow-origin')]).toEqual([path, reader]);
      }
    });

    it('all headers that the contract names, and allows all that it reads', () => {
      const names = new Set<string>();
      const sent = new Set<string>();
      const walk = (node: any): void => {
        if (typeof node !== 'object' || node === null) return;
        if (node.in === 'header' && node.name) sent.add(node.name);
        // The headers of answers. Reusable header definitions have other names.
        if (node.description && node.headers) for (const name of Object.keys(node.headers)) names.add(name);
        Object.values(node).forEach(walk);
      };
      walk(contract.document);
      const shownAnyway = ['Cache-Control', 'Vary'];
      expect([...names].filter((name) => ![...EXPOSED_HEADERS, ...shownAnyway].includes(name))).toEqual([]);
      expect([...names]).toEqual(expect.arrayContaining(['ETag', 'Retry-After', 'RateLimit']));
      expect([...sent].filter((name) => !ALLOWED_HEADERS.includes(name))).toEqual([]);
      expect([...sent]).toEqual(expect.arrayContaining(['Idempotency-Key', 'Last-Event-ID']));
    });
  });

  it('lets in pages of this machine in development, from any port, and no other page', async () => {
    const developed = await stack.startApi({ CORS_ORIGINS: '', NODE_ENV: 'development' });
    const allowed = async (origin: string): Promise<(string | null)[]> => {
      const headers = { authorization, origin, 'access-control-request-method': 'GET' };
      const answers = ['GET', 'OPTIONS'].map((method) => fetch(`${developed.url}/api/v1/chats`, { method, headers }));
      return (await Promise.all(answers)).map((answer) => answer.headers.get('access-control-allow-origin'));
    };
    for (const origin of ['http://localhost:5173', 'http://127.0.0.1:8080', 'http://[::1]:4200', 'https://localhost']) {
      expect(await allowed(origin)).toEqual([origin, origin]);
    }
    for (const origin of ['http://localhost.example.com', 'http://127.0.0.1.nip.io:80', 'http://evil.com', 'null']) {
      expect(await allowed(origin)).toEqual([null, null]);
    }
    await developed.stop();
  });

  it('says nothing about other origins if none is configured', async () => {
    const closed = await stack.startApi({ CORS_ORIGINS: '' });
    const ask = async (method: string): Promise<Response> =>
      fetch(`${closed.url}/api/v1/chats`, {
        method,
        headers: { authorization, origin: OURS, 'access-control-request-method': 'GET' },
      });
    const [get, options] = [await ask('GET'), await ask('OPTIONS')];
    expect([get.status, get.headers.get('vary'), options.status]).toEqual([200, 'Authorization, Accept', 405]);
    for (const { headers } of [get, options]) expect(headers.get('access-control-allow-origin')).toBeNull();
    await closed.stop();
  });
});
