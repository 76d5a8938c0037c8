import { describe, expect, it } from '@jest/globals';
import { checkAssistants } from './assistants-file.js';
import { sentence } from './faults.js';

const assistant = { slug: 's', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };
const env = { TOOLS: 'http://10.0.0.1:4010/', KEY: 'Bearer hush' };

async function check(mcp_servers: unknown, named: readonly unknown[] = []) {
  const document = { mcp_servers, assistants: [{ ...assistant, mcp_servers: named }] };
  const { servers, faults } = await checkAssistants(document, { env });
  return { servers, faults: faults.map((fault) => sentence(fault, document)) };
}

describe('MCP servers', () => {
  it('have all defaults, and may be named by assistants', async () => {
    const headers = { Authorization: 'env:KEY' };
    const mcp_servers = {
      docs: { url: 'env:TOOLS/mcp' },
      shop: {
        url: 'https://a/mcp',
        headers,
        allow: ['find'],
        approval: 'always',
        repeatable: true,
        timeout_seconds: 5,
        result_max_bytes: 2048,
      },
    };
    const { servers, faults } = await check(mcp_servers, ['shop', 'docs']);
    expect(faults).toEqual([]);
    expect([...servers.values()]).toEqual([
      {
        name: 'docs',
        url: 'env:TOOLS/mcp',
        headers: {},
        approval: 'never',
        repeatable: false,
        timeout_seconds: 30,
        result_max_bytes: 65_536,
      },
      { name: 'shop', ...mcp_servers.shop },
    ]);
  });

  it.each([
    [[], 'mcp_servers must be a mapping.'],
    [{ docs: 1 }, 'mcp_servers.docs must be a mapping.'],
    [
      { 'a b': { url: 'https://a' } },
      'mcp_servers[…] must have a name of 1 to 32 letters (a-z), digits, dashes and underscores.',
    ],
    [{ docs: {} }, 'mcp_servers.docs.url must be a string.'],
    [{ docs: { url: 'env:NONE' } }, 'mcp_servers.docs.url names a variable: NONE is not set.'],
    [
      { docs: { url: 'https://a', headers: { 'api-key': 'hush' } } },
      expect.stringMatching(/^mcp_servers\.docs\.headers\.api-key must be env:NAME/),
    ],
    [{ docs: { url: 'https://a', allow: 'find' } }, 'mcp_servers.docs.allow must be a list.'],
    [{ docs: { url: 'https://a', allow: [''] } }, 'mcp_servers.docs.allow[0] must not be blank.'],
    [{ docs: { url: 'https://a', allow: ['a', 'a'] } }, 'mcp_servers.docs.allow[1] is there twice.'],
    [{ docs: { url: 'https://a', tools: [] } }, 'mcp_servers.docs.tools is not known.'],
    [
      Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`s${n}`, { url: 'https://a' }])),
      'mcp_servers must have at most 32 servers.',
    ],
  ])('%j is refused', async (mcp_servers, words) => {
    expect((await check(mcp_servers)).faults).toEqual([words]);
  });

  it('with a fault are known to the assistants that name them, each once', async () => {
    expect((await check({ docs: 1 }, ['docs', 'docs'])).faults).toEqual([
      'mcp_servers.docs must be a mapping.',
      '"s": mcp_servers[1] is there twice.',
    ]);
  });
});
