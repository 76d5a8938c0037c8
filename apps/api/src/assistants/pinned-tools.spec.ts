import { describe, expect, it } from '@jest/globals';
import type { ClientTool, McpTool } from '#database/entities/tool.js';
import type { AssistantDefinition } from './check-assistant.js';
import type { McpServer } from './check-mcp-servers.js';
import { arePinnedBy, pinTools } from './pinned-tools.js';

const schema = { type: 'object' };
const server = (name: string, further: Partial<McpServer> = {}): McpServer => ({
  name,
  url: `https://${name}.example/mcp`,
  headers: {},
  approval: 'never',
  repeatable: false,
  timeout_seconds: 30,
  result_max_bytes: 65_536,
  ...further,
});
const listed = (...names: string[]) =>
  names.map((name) => ({ name, description: `Does ${name}.`, inputSchema: schema }));
const pick: ClientTool = {
  run: 'client',
  name: 'pick',
  description: 'P',
  input_schema: schema,
  approval: 'never',
  result_max_bytes: 65_536,
};
const assistant = (mcp_servers: string[], tools = [pick]) => ({ tools, mcp_servers }) as unknown as AssistantDefinition;
const of = (...servers: McpServer[]) => new Map(servers.map((each) => [each.name, each]));

describe('the tools of MCP servers', () => {
  it('come after those of the file, in the order of their names, whatever the order of servers and listings', () => {
    const servers = of(server('docs'), server('shop'));
    const listings = [
      ['shop', listed('a b', 'a')],
      ['docs', listed('find')],
    ] as const;
    for (const order of [listings, [...listings].reverse()]) {
      const { tools, unpinned } = pinTools(assistant(['shop', 'docs']), servers, new Map(order), []);
      expect([tools.map(({ name }) => name), unpinned]).toEqual([['pick', 'docs_find', 'shop_a', 'shop_a_b'], []]);
    }
  });

  it('have the settings of their server and nothing else', () => {
    const docs = server('docs', { headers: { a: 'env:A' }, approval: 'always', allow: ['find'] });
    const { tools } = pinTools(assistant(['docs'], []), of(docs), new Map([['docs', listed('find')]]), []);
    const { name: _, allow: __, ...settings } = docs;
    expect(tools).toEqual([
      {
        run: 'mcp',
        ...settings,
        server: 'docs',
        tool: 'find',
        name: 'docs_find',
        description: 'Does find.',
        input_schema: schema,
      },
    ]);
  });

  it('stay while their server is away, with its new settings, unless it has another address or they are no longer wanted', () => {
    const { tools: stored } = pinTools(
      assistant(['docs']),
      of(server('docs')),
      new Map([['docs', listed('a', 'b')]]),
      [],
    );
    const kept = (docs: McpServer) => pinTools(assistant(['docs'], []), of(docs), new Map(), stored).tools;
    expect(kept(server('docs', { approval: 'always' }))).toEqual(
      stored.slice(1).map((tool) => ({ ...tool, approval: 'always' })),
    );
    expect(kept(server('docs', { allow: ['b'] }))).toEqual(stored.slice(2));
    expect(kept(server('docs', { url: 'https://other.example' }))).toEqual([]);
    expect(pinTools(assistant([], []), of(server('docs')), new Map(), stored).tools).toEqual([]);
  });

  it('that would have the name of another tool are left out, always the same one, and so are those beyond 128', () => {
    const clash = { ...pick, name: 'docs_a' };
    const servers = of(server('docs'), server('docs_a'));
    const listings = new Map([
      ['docs_a', listed('b')],
      ['docs', listed('a_b', 'a')],
    ]);
    const { tools, unpinned } = pinTools(assistant(['docs_a', 'docs'], [clash]), servers, listings, []);
    expect(tools.map((tool) => [tool.name, (tool as McpTool).tool])).toEqual([
      ['docs_a', undefined],
      ['docs_a_b', 'a_b'],
    ]);
    expect(unpinned).toEqual([
      { server: 'docs', tool: 'a', reason: 'another tool of the assistant has the name docs_a' },
      { server: 'docs_a', tool: 'b', reason: 'another tool of the assistant has the name docs_a_b' },
    ]);
    const many = Array.from({ length: 130 }, (_, n) => `t${n}`);
    const all = pinTools(assistant(['docs']), servers, new Map([['docs', listed(...many)]]), []);
    expect([all.tools.length, all.unpinned.length]).toEqual([128, 3]);
    expect(all.unpinned[0]?.reason).toBe('the assistant has 128 tools already');
  });

  it('belong to a file only as long as the file says of them what it said', () => {
    const { tools } = pinTools(assistant(['docs']), of(server('docs')), new Map([['docs', listed('a')]]), []);
    expect(arePinnedBy(assistant(['docs']), of(server('docs')), tools)).toBe(true);
    const others: Partial<McpServer>[] = [
      { url: 'https://other.example' },
      { headers: { a: 'b' } },
      { approval: 'always' },
      { repeatable: true },
      { timeout_seconds: 1 },
      { result_max_bytes: 1024 },
      { allow: [] },
    ];
    for (const other of others) expect(arePinnedBy(assistant(['docs']), of(server('docs', other)), tools)).toBe(false);
    expect(arePinnedBy(assistant([]), of(server('docs')), tools)).toBe(false);
    expect(arePinnedBy(assistant(['docs']), of(), tools)).toBe(false);
  });
});
