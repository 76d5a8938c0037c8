import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Resolve, McpTools } from '../../apps/worker/src/tools/mcp-tool.js';
import type { ToolResult } from '../../apps/worker/src/tools/tool-result.js';
import type { McpTool } from '#database/entities/tool.js';
import type { Keeping } from '#mcp/connections.js';
import { listTools } from '#mcp/list-tools.js';
import { type McpParts, McpTestServer } from '../support/mcp-server.js';
import { until } from '../support/until.js';

/** It occurs in every address and header, and must occur nowhere else. */
const SECRET = 'canary-qpxz';

const SCHEMA = { type: 'object', properties: { q: { type: 'string' } } };
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const NEVER = new AbortController().signal;
const text = (value: string) => ({ content: [{ type: 'text', text: value }] });
const listed = (name: string, more: object = {}) => ({
  name,
  description: `Does ${name}.`,
  inputSchema: SCHEMA,
  ...more,
});

const KINDS = ['current', 'earlier'] as const;

let servers: McpTestServer[] = [];
let running: McpTools[] = [];
afterEach(async () => {
  for (const tools of running) tools.onApplicationShutdown();
  await Promise.all(servers.map((server) => server.stop()));
  [servers, running] = [[], []];
});

const started = async (server: Promise<McpTestServer>): Promise<McpTestServer> => {
  servers.push(await server);
  return server;
};
const headers = { authorization: `Bearer ${SECRET}`, 'x-key': SECRET };
const addressOf = ({ url }: { url: string }) => ({ url: `${url}?key=${SECRET}`, headers });

const list = (server: { url: string }, more: { allow?: string[]; timeoutMs?: number; signal?: AbortSignal } = {}) => {
  const { allow, timeoutMs = 10_000, signal = NEVER } = more;
  return listTools({ name: 'wiki', ...addressOf(server), ...(allow && { allow }) }, { timeoutMs, signal });
};

const toolsOf = (resolve: Resolve, keeping?: Partial<Keeping>): McpTools => {
  const tools = new McpTools(resolve, keeping);
  running.push(tools);
  return tools;
};
const tool = (more: Partial<McpTool> = {}): McpTool => ({
  run: 'mcp',
  name: 'wiki_search',
  description: '',
  input_schema: SCHEMA,
  approval: 'never',
  result_max_bytes: 20_000,
  url: 'env:URL',
  headers: {},
  repeatable: false,
  timeout_seconds: 10,
  server: 'wiki',
  tool: 'search',
  ...more,
});
const REQUEST = {
  callId: 'toolu_1',
  userId: 'u',
  chatId: 'c',
  jobId: 'j',
  assistant: 'a',
  input: { q: 'tea' },
  traceparent: TRACEPARENT,
};
/** Calls the tool of one server. */
const caller = (server: { url: string }, keeping?: Partial<Keeping>) => {
  const tools = toolsOf(() => addressOf(server), keeping);
  return async (more: Partial<McpTool> = {}, signal = NEVER): Promise<ToolResult> => {
    const result = await tools.run(tool(more), REQUEST, signal);
    expect(result.content).not.toContain(SECRET);
    return result;
  };
};

describe.each(KINDS)('an MCP server (%s)', (kind) => {
  let parts: McpParts;
  beforeEach(() => {
    parts = { tools: [listed('search'), listed('add')], call: () => text('found') };
  });
  const start = () => started(McpTestServer[kind](parts));

  it('lists its tools, all pages of them', async () => {
    parts.tools = [...parts.tools, listed('bad', { inputSchema: { type: 'array' } }), listed('zoo')];
    parts.page = 1;
    const server = await start();
    const field = (name: string) => ({ name, description: `Does ${name}.`, inputSchema: SCHEMA });
    expect(await list(server)).toEqual({
      tools: ['add', 'search', 'zoo'].map(field),
      leftOut: [{ name: 'bad', reason: 'the type of its input is not object' }],
    });
    expect(server.methods.filter((method) => method === 'tools/list').length).toBe(4);
    expect(await list(server, { allow: ['zoo', 'lost'] })).toEqual({
      tools: [field('zoo')],
      leftOut: [{ name: 'lost', reason: 'the server has no such tool' }],
    });
    for (const { headers: sent } of server.requests) expect(sent).toMatchObject(headers);
  });

  it('runs a tool with its input, the call’s id and the trace', async () => {
    parts.call = ({ params }) => text(JSON.stringify(params));
    const server = await start();
    const { content, isError } = await caller(server)();
    expect(isError).toBe(false);
    expect(JSON.parse(content)).toMatchObject({
      name: 'search',
      arguments: { q: 'tea' },
      _meta: { 'rejoinder/call-id': 'toolu_1', traceparent: TRACEPARENT },
    });
    for (const { headers: sent } of server.requests) {
      expect(sent).toMatchObject(headers);
      expect(sent).not.toHaveProperty('rejoinder-exchange');
    }
  });

  it('is asked for its protocol once for many calls', async () => {
    const server = await start();
    const call = caller(server);
    await Promise.all([call(), call(), call()]);
    await call();
    expect(server.methods.filter((method) => method === 'tools/call').length).toBe(4);
    expect(server.methods.filter((method) => method === 'server/discover').length).toBe(1);
    expect(server.methods.filter((method) => method === 'initialize').length).toBe(kind === 'earlier' ? 1 : 0);
  });

  it('says that a tool failed', async () => {
    parts.call = () => ({ ...text('no such page'), isError: true });
    expect(await caller(await start())()).toEqual({ content: 'no such page', isError: true });
  });

  it('gives text of every kind of content, and the structured result without text', async () => {
    parts.call = () => ({
      content: [
        { type: 'text', text: 'one' },
        { type: 'resource', resource: { uri: 'file:///a', text: 'two' } },
        { type: 'resource_link', uri: 'https://a.example/', name: 'A' },
        { type: 'image', mimeType: 'image/png', data: Buffer.alloc(12_000).toString('base64') },
      ],
      structuredContent: { a: 1 },
    });
    const call = caller(await start());
    expect(await call()).toEqual({
      content: 'one\ntwo\nA: https://a.example/\n[image/png, 12 kB, left out]',
      isError: false,
    });
    parts.call = () => ({ content: [], structuredContent: { a: 1 } });
    expect(await call()).toEqual({ content: '{"a":1}', isError: false });
  });

  it('goes on when its listing changes, and a removed tool is an error that the model reads', async () => {
    parts.call = ({ params }) => {
      if (parts.tools.some(({ name }) => name === params.name)) return text('found');
      throw Object.assign(new Error(`Unknown tool: ${params.name}`), { code: -32602 });
    };
    const call = caller(await start());
    parts.tools = [listed('other'), listed('search', { inputSchema: { type: 'object', required: ['z'] } })];
    expect(await call()).toEqual({ content: 'found', isError: false });
    parts.tools = [];
    const { content, isError } = await call();
    expect([content, isError]).toEqual([expect.stringContaining('Unknown tool: search'), true]);
    expect(content).toMatch(/^The server answered with an error \(-32602\): /);
  });

  it('has a long result cut, and a much longer one is not read', async () => {
    const call = caller(await start());
    parts.call = () => text('x'.repeat(50_000));
    expect((await call()).content.length).toBe(20_000);
    parts.call = () => text('x'.repeat(100_000_000));
    expect(await call()).toEqual({
      content: 'The server’s answer is longer than 145536 bytes. It is not known whether the tool ran.',
      isError: true,
    });
    parts.call = () => text('found');
    expect((await call()).content).toBe('found');
  });

  it('has the time of the call, whatever it sends meanwhile', async () => {
    const gone: boolean[] = [];
    const hang = ({ signal }: { signal: AbortSignal }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(gone.push(true))));
    const server = await start();
    const call = caller(server);
    const late = { content: 'The server did not answer in time. It is not known whether the tool ran.', isError: true };
    parts.call = hang;
    expect(await call({ timeout_seconds: 0.5 })).toEqual(late);
    parts.call = async ({ signal, notify, params: { _meta } }) => {
      while (!signal.aborted) {
        await notify({
          method: 'notifications/progress',
          params: { progressToken: _meta.progressToken ?? 1, progress: 1 },
        });
        await sleep(20);
      }
      gone.push(true);
    };
    expect(await call({ timeout_seconds: 0.5, repeatable: true })).toEqual(late);
    await until(async () => gone.length === 2, 'both tools to end');
  });

  it('is told when a call is given up, and the caller does not wait for it', async () => {
    const gone: string[] = [];
    parts.call = ({ signal }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(gone.push('told'))));
    const server = await start();
    const call = caller(server);
    const stop = new AbortController();
    const call1 = call({ repeatable: true }, stop.signal);
    await until(async () => server.methods.includes('tools/call'), 'the call');
    const reason = new Error('canceled');
    const begun = performance.now();
    stop.abort(reason);
    await expect(call1).rejects.toBe(reason);
    expect(performance.now() - begun).toBeLessThan(200);
    await until(async () => gone.length === 1, 'the tool to end');
    await expect(call({}, stop.signal)).rejects.toBe(reason);
    parts.call = () => text('found');
    expect((await call()).content).toBe('found');
  });

  it('may not ask for a person’s input, a model or a folder', async () => {
    const server = await start();
    const call = caller(server);
    for (const ask of [
      {
        method: 'elicitation/create',
        params: { message: 'Who?', requestedSchema: { type: 'object', properties: {} } },
      },
      { method: 'sampling/createMessage', params: { messages: [], maxTokens: 10 } },
      { method: 'roots/list' },
    ]) {
      parts.call =
        kind === 'current'
          ? () => ({ resultType: 'input_required', inputRequests: { one: ask }, requestState: 's' })
          : async ({ server: mcp }) => {
              await mcp.transport.send({ jsonrpc: '2.0', id: `ask-${ask.method}`, ...ask });
              await until(
                async () => server.requests.some(({ body }) => body?.id === `ask-${ask.method}`),
                'the refusal',
              );
              return { ...text('no answer'), isError: true };
            };
      const declined = (wish: string) => `The server asks for ${wish}, which is not offered here.`;
      if (kind === 'current') {
        expect(await call()).toEqual({ content: declined('further input'), isError: true });
        continue;
      }
      expect(await call()).toEqual({ content: `no answer\n${declined(ask.method)}`, isError: true });
      expect(server.requests.at(-1)?.body).toMatchObject({ id: `ask-${ask.method}`, error: { code: -32601 } });
    }
  });

  it.each([
    ['is closed', 0, 'The connection to the server broke'],
    ['ends its stream early', 200, 'The server ended its answer early.'],
    ['answers 503', 503, 'The server answered 503.'],
  ])(
    'leaves it open whether a tool ran when it %s, and a repeatable tool runs again, twice',
    async (_, status, words) => {
      let failures = 0;
      parts.instead = (response, body) => {
        if (body?.method !== 'tools/call' || failures-- <= 0) return false;
        if (status === 0) response.destroy();
        else if (status === 200) response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': nothing\n\n');
        else response.writeHead(status).end(SECRET);
        return true;
      };
      const server = await start();
      const call = caller(server);
      const calls = () => server.methods.filter((method) => method === 'tools/call').length;
      failures = 1;
      const { content, isError } = await call();
      expect([content, isError, calls()]).toEqual([expect.any(String), true, 1]);
      expect(content).toMatch(new RegExp(`^${words}.* It is not known whether the tool ran\\.$`));
      // The waits between tries are the same for both kinds.
      if (kind === 'earlier') return;
      failures = 2;
      expect(await call({ repeatable: true })).toEqual({ content: 'found', isError: false });
      expect(calls()).toBe(4);
      if (status !== 503) return;
      failures = 9;
      expect((await call({ repeatable: true })).content).toBe(content);
      expect(calls()).toBe(7);
    },
  );

  it.each([
    ['401', 401, 'The server does not accept the credentials (401).'],
    ['403', 403, 'The server does not accept the credentials (403).'],
    ['a redirect', 307, 'The server answered with a redirect (307), which is not followed.'],
    ['429', 429, 'The server has had too many requests (429).'],
  ])('has not run a tool when it answers %s', async (_, status, words) => {
    const elsewhere = await started(McpTestServer.raw((_request, response) => response.end()));
    const server = await start();
    const call = caller(server);
    for (const when of ['server/discover', 'tools/call']) {
      parts.instead = (response, body) => {
        if (body?.method !== when) return false;
        response.writeHead(status, {
          location: elsewhere.url,
          'www-authenticate': 'Bearer error="insufficient_scope"',
        });
        response.end(SECRET);
        return true;
      };
      if (when === 'server/discover' && status !== 429 && status !== 307)
        await expect(list(server)).rejects.toMatchObject({ name: 'McpServerAway', message: words });
      else if (when === 'tools/call')
        expect(await call({ repeatable: true })).toEqual({ content: `${words} The tool did not run.`, isError: true });
    }
    expect(elsewhere.requests).toEqual([]);
  });
});

describe('an MCP server of 2025', () => {
  const parts = (call: McpParts['call'] = () => text('found')): McpParts => ({ tools: [listed('search')], call });
  const count = (server: McpTestServer, method: string) => server.methods.filter((one) => one === method).length;

  it('may forget a session: the call begins another and runs once', async () => {
    let runs = 0;
    const server = await started(McpTestServer.earlier(parts(() => text(`run ${++runs}`))));
    const call = caller(server);
    expect((await call()).content).toBe('run 1');
    server.sessions.clear();
    expect(await Promise.all([call(), call()])).toEqual(
      ['run 2', 'run 3'].map((content) => ({ content, isError: false })),
    );
    expect(runs).toBe(3);
  });

  it('may have no sessions', async () => {
    const server = await started(McpTestServer.sessionless(parts(({ params }) => text(params.arguments.q))));
    expect((await list(server)).tools.length).toBe(1);
    const call = caller(server);
    expect((await Promise.all([call(), call()])).map(({ content }) => content)).toEqual(['tea', 'tea']);
    expect([count(server, 'initialize'), count(server, 'GET'), count(server, 'DELETE')]).toEqual([2, 0, 0]);
  });

  it('may break off its stream and answer when it is asked for the rest', async () => {
    const served = parts();
    let id: unknown;
    served.instead = (response, body, request) => {
      const resumes = request.headers['last-event-id'] === 'e1';
      if (body?.method !== 'tools/call' && !resumes) return false;
      id ??= body.id;
      const answer = { jsonrpc: '2.0', id, result: text('the rest') };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(resumes ? `id: e2\ndata: ${JSON.stringify(answer)}\n\n` : 'id: e1\nretry: 20\ndata: \n\n');
      return true;
    };
    const server = await started(McpTestServer.earlier(served));
    expect(await caller(server)()).toEqual({ content: 'the rest', isError: false });
    expect(count(server, 'tools/call')).toBe(1);
  });

  it('that knows no session at all is asked twice, not for ever', async () => {
    const server = await started(McpTestServer.earlier(parts()));
    const call = caller(server);
    await call();
    const { call: run, tools } = parts();
    const forgetful = await started(
      McpTestServer.earlier({ tools, call: run, instead: () => (forgetful.sessions.clear(), false) }),
    );
    expect(await caller(forgetful)()).toMatchObject({ isError: true, content: expect.stringContaining('refused') });
    expect(count(forgetful, 'initialize')).toBeLessThanOrEqual(2);
  });

  it('has a session for some minutes, which ends when it is idle or the worker stops', async () => {
    const server = await started(McpTestServer.earlier(parts()));
    await caller(server, { idleMs: 50 })();
    expect(server.sessions.size).toBe(1);
    await until(async () => server.sessions.size === 0, 'the session to end');
    const stopping = caller(server);
    await stopping();
    expect(server.sessions.size).toBe(1);
    running.at(-1)?.onApplicationShutdown();
    await until(async () => server.sessions.size === 0, 'the session to end');
    expect(await stopping()).toEqual({ content: 'The process stops. The tool did not run.', isError: true });
  });

  it('has no more sessions than are kept, also when all are in use', async () => {
    let begun = 0;
    const together = async (): Promise<object> => {
      begun += 1;
      await until(async () => begun === 4, 'all calls');
      return text('found');
    };
    const server = await started(McpTestServer.earlier(parts(together)));
    let n = 0;
    const tools = toolsOf(() => ({ ...addressOf(server), headers: { ...headers, 'x-user': String(n++) } }), {
      most: 2,
    });
    const results = await Promise.all([1, 2, 3, 4].map(() => tools.run(tool(), REQUEST, NEVER)));
    expect(results.map(({ content }) => content)).toEqual(Array(4).fill('found'));
    await until(async () => server.sessions.size === 2, 'two sessions to end');
  });
});

describe('a server that is no MCP server', () => {
  it.each<[string, Parameters<typeof McpTestServer.raw>[0], string]>([
    [
      'answers HTML',
      (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${SECRET}`),
      'The server’s answer is not one of the Model Context Protocol.',
    ],
    [
      'answers other JSON',
      (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"a":1}'),
      'The server’s answer is not one of the Model Context Protocol.',
    ],
    [
      'answers what is no JSON',
      (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(`{${SECRET}`),
      'The server’s answer is not one of the Model Context Protocol.',
    ],
    ['answers 404', (_, response) => response.writeHead(404).end('<p>'), 'The server refused the request (404).'],
    ['answers 502', (_, response) => response.writeHead(502).end(SECRET), 'The server answered 502.'],
    ['closes', (_, response) => response.destroy(), 'The connection to the server broke (UND_ERR_SOCKET).'],
    [
      'sends without end',
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const more = (): void => {
          while (!response.destroyed && response.write(' '.repeat(100_000)));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      },
      'The server’s answer is longer than',
    ],
    ['hangs', () => undefined, 'The server did not answer in time.'],
    [
      'drips',
      (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const timer = setInterval(() => response.write(': drip\n\n'), 20);
        response.on('close', () => clearInterval(timer));
      },
      'The server did not answer in time.',
    ],
  ])('gets a plain word: it %s', async (_, handle, message) => {
    const server = await started(McpTestServer.raw(handle));
    const fault: unknown = await list(server, { timeoutMs: 1_000 }).catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: 'McpServerAway', message: expect.stringContaining(message) });
    expect(String(fault)).not.toContain(SECRET);
    const result = await caller(server)({ timeout_seconds: 1 });
    expect(result).toMatchObject({ isError: true, content: expect.stringContaining(message) });
    expect(result.content).toMatch(/ The tool did not run\.$/);
    await until(async () => server.open === 0, 'the requests to end', 2_000);
  });

  it.each([
    ['nobody listens', 'http://127.0.0.1:2', '(ECONNREFUSED)'],
    ['a port that `fetch` avoids', 'http://127.0.0.1:9', '(its address or a header is not usable)'],
    ['there is no such host', 'http://nowhere.invalid', '(ENOTFOUND)'],
    ['an address with a password', `http://me:${SECRET}@127.0.0.1:9`, '(its address or a header is not usable)'],
    ['no address', SECRET, '(ERR_INVALID_URL)'],
  ])('cannot be reached: %s', async (_, url, why) => {
    const fault: unknown = await list({ url }).catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: 'McpServerAway', message: `The server could not be reached ${why}.` });
    expect(await caller({ url })()).toEqual({
      content: `The server could not be reached ${why}. The tool did not run.`,
      isError: true,
    });
  });

  it('is left at once when the caller leaves', async () => {
    const server = await started(McpTestServer.raw(() => undefined));
    for (const begin of [
      (signal: AbortSignal) => list(server, { signal }),
      (signal: AbortSignal) => caller(server)({}, signal),
    ]) {
      const stop = new AbortController();
      const work = begin(stop.signal);
      work.catch(() => undefined);
      const before = server.requests.length;
      await until(async () => server.requests.length > before || before > 0, 'the request');
      stop.abort(new Error('left'));
      await expect(work).rejects.toThrow('left');
    }
  });
});

describe('a listing', () => {
  it.each([
    ['that repeats a page', { nextCursor: 'a' }, 'The server’s pages of tools repeat themselves.'],
    ['of very many pages', undefined, 'The server’s tools have more than 100 pages.'],
    ['of many bytes', { filler: 'x'.repeat(500_000), nextCursor: undefined }, 'longer than 2097152 bytes'],
  ])('has bounds: one %s is given up', async (_, more, message) => {
    let n = 0;
    const parts: McpParts = { tools: [], call: () => text('') };
    parts.instead = (response, body) => {
      if (body?.method !== 'tools/list') return false;
      const page = {
        resultType: 'complete',
        ttlMs: 0,
        cacheScope: 'private',
        tools: [],
        nextCursor: String(++n),
        ...more,
      };
      if (more?.nextCursor === undefined) page.nextCursor = String(n);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: body.id, result: page }));
      return true;
    };
    const server = await started(McpTestServer.current(parts));
    await expect(list(server)).rejects.toMatchObject({ message: expect.stringContaining(message) });
  });

  it('leaves out broken tools of a server that checks nothing, and keeps unknown content', async () => {
    const parts: McpParts = { tools: [], call: () => text('') };
    parts.instead = (response, body) => {
      const results: Record<string, object> = {
        'tools/list': { ttlMs: 0, cacheScope: 'private', tools: [7, { name: 'a' }, listed('b', { description: 7 })] },
        'tools/call': { content: [{ type: 'text', text: 'one' }, { type: 'hologram' }, 7] },
      };
      const result = results[body?.method];
      if (result === undefined) return false;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: body.id, result: { resultType: 'complete', ...result } }));
      return true;
    };
    const server = await started(McpTestServer.current(parts));
    expect(await list(server)).toEqual({
      tools: [{ name: 'b', description: '', inputSchema: SCHEMA }],
      leftOut: [
        { name: '?', reason: 'it has no usable name' },
        { name: 'a', reason: 'the type of its input is not object' },
      ],
    });
    expect((await caller(server)()).content).toBe('one\n[hologram, left out]\n[unknown content, left out]');
  });
});

it.each([
  ['further input', { resultType: 'input_required', inputRequests: {}, requestState: 's' }],
  ['further input', { resultType: 'input_required', inputRequests: { a: { method: 'roots/list' } } }],
  ['a task that goes on after its answer', { resultType: 'task', task: { taskId: 't' } }],
  ['a task that goes on after its answer', { resultType: 'complete', task: { taskId: 't' } }],
])('a server that checks nothing gets nothing beside a call: %s', async (wish, result) => {
  const parts: McpParts = { tools: [], call: () => text('') };
  parts.instead = (response, body) => {
    if (body?.method !== 'tools/call') return false;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: body.id, result }));
    return true;
  };
  const content = `The server asks for ${wish}, which is not offered here.`;
  for (const kind of KINDS) {
    if (kind === 'earlier' && result.resultType !== 'complete') continue;
    expect(await caller(await started(McpTestServer[kind](parts)))()).toEqual({ content, isError: true });
  }
});

it.each([
  ['none', 202, undefined],
  ['one to another request', 200, { id: 99, result: text('another’s') }],
  ['an error without an id', 200, { error: { code: -32000, message: 'Busy' } }],
])('a call whose answer is %s waits for no other', async (_, status, answer) => {
  const parts: McpParts = { tools: [], call: () => text('') };
  parts.instead = (response, body) => {
    if (body?.method !== 'tools/call') return false;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(answer && JSON.stringify({ jsonrpc: '2.0', ...answer }));
    return true;
  };
  for (const kind of KINDS) {
    const { content, isError } = await caller(await started(McpTestServer[kind](parts)))();
    expect(isError).toBe(true);
    expect(content).toMatch(
      /^The server (ended its answer early\. It is not known|answered with an error \(-32000\): Busy)/,
    );
  }
});

it('a server that asks again and again gets few answers', async () => {
  const parts: McpParts = { tools: [], call: () => text('') };
  parts.call = async ({ server: mcp, params, notify }) => {
    await notify({ method: 'notifications/progress', params: { progressToken: params.name, progress: 1 } });
    for (let n = 0; n < 200; n++) await mcp.transport.send({ jsonrpc: '2.0', id: `ask-${n}`, method: 'roots/list' });
    await until(async () => server.requests.some(({ body }) => body?.id === 'ask-19'), 'the refusals');
    return text('found');
  };
  const server = await started(McpTestServer.earlier(parts));
  expect(await caller(server)()).toEqual({ content: 'found', isError: false });
  await sleep(100);
  expect(server.requests.filter(({ body }) => 'error' in (body ?? {})).length).toBe(20);
});

it('a tool whose variable is not set is an error that names it', async () => {
  const tools = toolsOf(() => ({ missing: 'WIKI_TOKEN' }));
  const content = 'The tool is not set up: WIKI_TOKEN is not set.';
  expect(await tools.run(tool(), REQUEST, NEVER)).toEqual({ content, isError: true });
});

it('a part of the input that the server wants in a header is sent there, too', async () => {
  const server = await started(McpTestServer.current({ tools: [], call: () => text('found') }));
  const schema = { type: 'object', properties: { q: { type: 'string', 'x-mcp-header': 'Query' } } };
  await caller(server)({ input_schema: schema });
  expect(server.requests.at(-1)?.headers).toMatchObject({ 'mcp-param-query': 'tea', 'mcp-name': 'search' });
});
