import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { LogLine } from '#process/log-line.js';
import { registry } from '#telemetry/registry.js';
import type { AssistantsFile } from './assistants-file.js';
import type { Answer } from './list-servers.js';
import { McpWatch } from './mcp-watch.js';
import type { Listings, Unpinned } from './pinned-tools.js';

const servers = ['docs', 'shop', 'unused'].map((name) => [name, { name }]);
const file = { definitions: [{ mcp_servers: ['docs', 'shop'] }], servers: new Map(servers as []) };
const up: Answer = { tools: [], leftOut: [] };
const away: Answer = { away: 'The server did not answer in time.' };

describe('the watch over MCP servers', () => {
  let answers: Record<string, Answer>;
  let asked: string[][];
  let loads: [how: string, listings: string[]][];
  let failing: boolean;
  let unpinned: Unpinned[];
  let watch: McpWatch;
  const logged: string[] = [];
  beforeEach(() => {
    jest.useFakeTimers();
    jest.spyOn(Math, 'random').mockReturnValue(1);
    [answers, asked, loads, failing, unpinned] = [{ docs: up, shop: up }, [], [], false, []];
    logged.length = 0;
    for (const level of ['log', 'warn'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation((line: string | LogLine) => {
        const { words, fields } = typeof line === 'string' ? { words: line, fields: {} } : line;
        logged.push([level, words, ...Object.values(fields)].join(': '));
      });
    }
    const load =
      (how: string) =>
      async (_: AssistantsFile, listings: Listings = new Map()) => {
        if (failing) throw new Error('away');
        loads.push([how, [...listings.keys()]]);
        return unpinned;
      };
    watch = new McpWatch({ load: load('all'), loadTools: load('tools') }, async (wanted) => {
      asked.push(wanted.map(({ name }) => name));
      return new Map(wanted.map((server) => [server, answers[server.name] ?? away]));
    });
  });
  afterEach(async () => {
    await watch.beforeApplicationShutdown();
    jest.useRealTimers();
    jest.restoreAllMocks();
  });
  const load = (what: unknown = file) => watch.load(what as AssistantsFile);
  const status = () => watch.healthDetails().mcp_servers?.map((server) => `${server.name} ${server.status}`);
  const metric = async (): Promise<string[]> =>
    (await registry.getSingleMetricAsString('rejoinder_mcp_server_up'))
      .split('\n')
      .filter((line) => !line.startsWith('#'));

  it('asks no server and shows none if no assistant names one', async () => {
    await load({ ...file, definitions: [{ mcp_servers: [] }] });
    expect([asked, loads, watch.healthDetails()]).toEqual([[], [['all', []]], {}]);
  });

  it('asks each server that an assistant names once, and no more when all have answered', async () => {
    await load();
    await jest.advanceTimersByTimeAsync(3_600_000);
    expect([asked, loads, status()]).toEqual([[['docs', 'shop']], [['all', ['docs', 'shop']]], ['docs up', 'shop up']]);
    expect(logged).toEqual([]);
    expect(await metric()).toEqual(expect.arrayContaining([expect.stringMatching(/server="docs"\} 1/)]));
  });

  it('asks those that are away again, after 30 s and then ever later, and says once that they are away and back', async () => {
    answers = { docs: up, shop: away };
    await load();
    expect([loads, status()]).toEqual([[['all', ['docs']]], ['docs up', 'shop away']]);
    expect(await metric()).toEqual(expect.arrayContaining([expect.stringMatching(/server="shop"\} 0/)]));
    const pauses = [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000];
    for (const [n, pause] of pauses.entries()) {
      await jest.advanceTimersByTimeAsync(pause - 1);
      expect(asked).toHaveLength(n + 1);
      await jest.advanceTimersByTimeAsync(1);
      expect(asked.at(-1)).toEqual(['shop']);
    }
    answers = { shop: up };
    await jest.advanceTimersByTimeAsync(600_000);
    expect([loads.at(-1), status()]).toEqual([
      ['tools', ['shop']],
      ['docs up', 'shop up'],
    ]);
    await jest.advanceTimersByTimeAsync(3_600_000);
    expect(asked).toHaveLength(pauses.length + 2);
    expect(logged).toEqual([
      'warn: the MCP server shop is away: its assistants keep the tools that they had: The server did not answer in time.',
      'log: the MCP server shop is back',
    ]);
  });

  it('asks again if the database was away when a server came back', async () => {
    answers = { docs: away };
    await load();
    [answers, failing] = [{ docs: up, shop: up }, true];
    await jest.advanceTimersByTimeAsync(30_000);
    expect(status()).toEqual(['docs away', 'shop away']);
    failing = false;
    await jest.advanceTimersByTimeAsync(60_000);
    expect(status()).toEqual(['docs up', 'shop up']);
  });

  it('asks no more once the process stops', async () => {
    answers = {};
    await load();
    await watch.beforeApplicationShutdown();
    await jest.advanceTimersByTimeAsync(3_600_000);
    expect(asked).toHaveLength(1);
  });

  it('names the tools that are left out, up to twenty of a server', async () => {
    const leftOut = Array.from({ length: 25 }, (_, n) => ({ name: `t${n}`, reason: 'the server lists it twice' }));
    answers = { docs: { tools: [], leftOut }, shop: up };
    unpinned = [{ server: 'shop', tool: 'a', reason: 'another tool of the assistant has the name shop_a' }];
    await load();
    expect(logged).toHaveLength(22);
    expect(logged[0]).toBe('warn: a tool of the MCP server docs is left out: t0: the server lists it twice');
    expect(logged.slice(20)).toEqual([
      'warn: more tools of MCP servers are left out: 5',
      'warn: a tool of the MCP server shop is left out: a: another tool of the assistant has the name shop_a',
    ]);
  });
});
