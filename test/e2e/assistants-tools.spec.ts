import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { metricsOf, metricsUrl } from '../support/figures.js';
import { McpTestServer } from '../support/mcp-server.js';
import { MovingAddress } from '../support/moving-address.js';
import { type App, runProgram } from '../support/processes.js';
import { SECRET, type Stack, startStack } from '../support/stack.js';
import { steadyPort } from '../support/steady-port.js';
import { until } from '../support/until.js';

const texts = { name: 'S', description: 'D', welcome_message: 'Hi', system_prompt: 'P', model: 'claude-sonnet-5-5' };
const schema = { type: 'object', properties: { q: { type: 'string' } } };

/** The schemas of some tools of MCP servers. Many servers name an earlier draft, and the model's API takes no choice of inputs. */
const SCHEMAS: Readonly<Record<string, object>> = {
  read: { $schema: 'http://json-schema.org/draft-07/schema#', ...schema },
  choice: { ...schema, anyOf: [{ required: ['q'] }] },
  faulty: { type: 'object', required: 'q' },
};

describe('tools in the assistants file', () => {
  let stack: Stack;
  let folder: string;
  const servers: (McpTestServer | MovingAddress)[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
    stack = await startStack({ workers: 0, env: { METRICS_PORT: '0' } });
  });
  afterAll(async () => {
    await stack?.stop();
    for (const server of servers) await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const fileOf = async (text: string): Promise<string> => {
    const file = join(folder, `${Math.random()}.yaml`);
    await writeFile(file, text);
    return file;
  };
  /** Starts an API with one assistant, and the variables that its tools name. */
  const start = async (assistant: object, mcp_servers: object = {}): Promise<App> => {
    const file = { mcp_servers, assistants: [{ slug: 'shop', ...texts, ...assistant }] };
    const env = { TOOLS_URL: 'http://10.0.0.1:4010', TOOLS_AUTHORIZATION: 'Bearer hush' };
    return stack.startApi({ ASSISTANTS_FILE: await fileOf(JSON.stringify(file)), ...env });
  };
  const stored = async (): Promise<any> => {
    const { rows } = await stack.database.query(`SELECT * FROM assistants WHERE slug = 'shop'`);
    return rows[0];
  };
  const names = async (): Promise<[version: number, names: string[]]> => {
    const { version, tools } = await stored();
    return [version, tools.map(({ name }: any) => name)];
  };
  const ready = async (api: App): Promise<any> => (await fetch(new URL('/health/ready', api.url))).json();
  const mcpServer = async (...tools: string[]): Promise<McpTestServer> => {
    const parts = {
      tools: tools.map((name) => ({ name, description: `Does ${name}.`, inputSchema: SCHEMAS[name] ?? schema })),
    };
    const server = await McpTestServer.current({ ...parts, call: () => ({ content: [] }) });
    servers.push(server);
    return server;
  };
  const addressOf = async (target: number): Promise<[MovingAddress, url: string]> => {
    const address = await MovingAddress.start(target);
    servers.push(address);
    return [address, `http://127.0.0.1:${address.port}/mcp`];
  };
  const portOf = ({ url }: McpTestServer): number => Number(new URL(url).port);

  it('stop the start if they have faults, which are all named with their lines', async () => {
    const text = `mcp_servers:
  docs: { url: 'env:NO_DOCS/mcp' }
assistants:
  - slug: shop
    name: Shop
    description: D
    welcome_message: W
    system_prompt: P
    model: m
    mcp_servers: [docs, others]
    tools:
      - run: http
        name: find
        description: Finds.
        url: env:NO_TOOLS/find
        headers: { Authorization: Bearer hush }
        input_schema: { type: string }
`;
    const env = { DATABASE_URL: stack.databaseUrl, JWT_SECRET: SECRET, PORT: '0' };
    const queue: Record<string, string> = stack.redis === undefined ? {} : { REDIS_URL: stack.redis.url };
    const { code, printed } = await runProgram('api', { ...env, ...queue, ASSISTANTS_FILE: await fileOf(text) });
    const [first, ...faults] = printed.slice(printed.indexOf('ASSISTANTS_FILE')).trimEnd().split('\n');
    expect([code, first]).toEqual([1, expect.stringMatching(/^ASSISTANTS_FILE .* cannot be used:$/)]);
    expect(faults).toEqual([
      '  - line 2: mcp_servers.docs.url names a variable: NO_DOCS is not set.',
      '  - line 10: "shop": mcp_servers[1] is no server of `mcp_servers` at the top of the file.',
      '  - line 15: "shop": tools[0].url names a variable: NO_TOOLS is not set.',
      expect.stringMatching(/^ {2}- line 16: "shop": tools\[0\]\.headers\.Authorization must be env:NAME/),
      '  - line 17: "shop": tools[0].input_schema must have `type: object`.',
    ]);
    expect(printed).not.toContain('hush');
  });

  it('stop the start in production if they are to be signed and TOOLS_SECRET is not set', async () => {
    const tool = { run: 'http', name: 'find', description: 'F', url: 'https://a.example', input_schema: schema };
    const file = await fileOf(JSON.stringify({ assistants: [{ slug: 'shop', ...texts, tools: [tool] }] }));
    const env = { DATABASE_URL: stack.databaseUrl, JWT_SECRET: 'c0ffee-9f8a7b6c5d4e3f2a1b0c-zq7Xw', PORT: '0' };
    const queue: Record<string, string> = stack.redis === undefined ? {} : { REDIS_URL: stack.redis.url };
    const all = { ...env, ...queue, NODE_ENV: 'production', ASSISTANTS_FILE: file };
    const { code, printed } = await runProgram('api', all);
    expect([code, printed]).toEqual([1, expect.stringContaining('line 1: "shop": tools has a tool with `run: http`')]);
    expect(printed).toContain('TOOLS_SECRET is not set.');
  });

  it('are stored with all defaults and without secrets, and only a change makes a version', async () => {
    const find = { run: 'http', name: 'find', description: 'F', url: 'env:TOOLS_URL/find', input_schema: schema };
    const headers = { Authorization: 'env:TOOLS_AUTHORIZATION' };
    const pick = {
      run: 'client',
      name: 'pick',
      description: 'P',
      input_schema: schema,
      result_schema: { type: 'string' },
    };
    const tools = [{ ...find, headers }, pick, { run: 'provider', type: 'web_fetch_20260318', max_uses: 2 }];
    const assistant = { tools, max_steps: 4, action_timeout_seconds: 600 };
    await (await start(assistant)).stop();
    const defaults = { approval: 'never', result_max_bytes: 65_536 };
    const definition = {
      version: 1,
      max_steps: 4,
      action_seconds: 600,
      tools: [
        { ...find, headers, ...defaults, repeatable: false, timeout_seconds: 30 },
        { ...pick, ...defaults },
        { run: 'provider', type: 'web_fetch_20260318', name: 'web_fetch', max_uses: 2 },
      ],
    };
    expect(await stored()).toMatchObject(definition);
    const again = await start(assistant);
    expect([await stored(), (await ready(again)).mcp_servers]).toMatchObject([definition, undefined]);
    await again.stop();
    await (await start({ ...assistant, max_steps: 5 })).stop();
    expect(await stored()).toMatchObject({ version: 2, max_steps: 5 });
    const { rows } = await stack.database.query(`SELECT definition FROM assistant_versions WHERE slug = 'shop'`);
    expect(rows.map(({ definition: { max_steps } }) => max_steps).sort()).toEqual([4, 5]);
    expect(JSON.stringify(rows)).not.toContain('hush');
  });

  it('of an MCP server are pinned as it lists them, and stay while it is away at a later start', async () => {
    const server = await mcpServer('search', 'read', 'other', 'choice', 'faulty');
    const [address, url] = await addressOf(portOf(server));
    const docs = { url, allow: ['read', 'search', 'choice', 'faulty', 'none'], approval: 'always' };
    const api = await start({ mcp_servers: ['docs'] }, { docs });
    const [version, found] = await names();
    expect(found).toEqual(['docs_read', 'docs_search']);
    expect((await stored()).tools[0]).toEqual({
      ...{
        run: 'mcp',
        server: 'docs',
        tool: 'read',
        name: 'docs_read',
        description: 'Does read.',
        input_schema: SCHEMAS['read'],
      },
      ...{ url, headers: {}, approval: 'always', repeatable: false, timeout_seconds: 30, result_max_bytes: 65_536 },
    });
    const leftOut = api.output().match(/a tool of the MCP server docs is left out.*/g) ?? [];
    expect(leftOut).toEqual([
      expect.stringMatching(/none.*the server has no such tool/),
      expect.stringMatching(/choice.*its schema must have no anyOf at the top/),
      expect.stringMatching(/faulty.*its schema is no JSON Schema that can be used/),
    ]);
    expect((await ready(api)).mcp_servers).toMatchObject([{ name: 'docs', status: 'up' }]);
    expect((await metricsOf(metricsUrl(api.output()))).get('rejoinder_mcp_server_up{server="docs"}')).toBe(1);
    await api.stop();

    address.moveTo(await steadyPort());
    const later = await start({ mcp_servers: ['docs'] }, { docs });
    expect(await names()).toEqual([version, ['docs_read', 'docs_search']]);
    expect(await ready(later)).toMatchObject({ status: 'ok', mcp_servers: [{ name: 'docs', status: 'away' }] });
    await later.stop();

    // With another address they are another server's.
    const moved = await start({ mcp_servers: ['docs'] }, { docs: { ...docs, url: `${url}/other` } });
    expect(await names()).toEqual([version + 1, []]);
    await moved.stop();
  });

  it('of an MCP server that is away at the start come with a new version when it is back, unless a newer file is loaded', async () => {
    const server = await mcpServer('search');
    const silent = await McpTestServer.raw(() => undefined);
    servers.push(silent);
    const [address, url] = await addressOf(portOf(silent));
    const mcp = { mcp_servers: ['docs'] };
    const began = Date.now();
    // The second process still runs when a third has loaded another file.
    const [api, old] = await Promise.all([
      start(mcp, { docs: { url } }),
      start({ ...mcp, name: 'Old' }, { docs: { url } }),
    ]);
    const took = Date.now() - began;
    const current = await start(mcp, { docs: { url } });
    const [version, none] = await names();
    expect([none, took < 30_000]).toEqual([[], true]);
    expect(await ready(api)).toMatchObject({ status: 'ok', mcp_servers: [{ name: 'docs', status: 'away' }] });
    expect((await metricsOf(metricsUrl(api.output()))).get('rejoinder_mcp_server_up{server="docs"}')).toBe(0);
    expect(api.output()).toMatch(/the MCP server docs is away/);

    address.moveTo(portOf(server));
    for (const each of [api, old, current])
      await until(async () => (await ready(each)).mcp_servers[0].status === 'up', 'the server', 90_000);
    // Each process has asked by itself, and they have made one version.
    expect(await names()).toEqual([version + 1, ['docs_search']]);
    expect((await stored()).name).toBe('S');
    expect((await metricsOf(metricsUrl(api.output()))).get('rejoinder_mcp_server_up{server="docs"}')).toBe(1);
    await Promise.all([api, old, current].map((each) => each.stop()));
  }, 180_000);
});
