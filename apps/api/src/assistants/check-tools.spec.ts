import { describe, expect, it } from '@jest/globals';
import { checkAssistants } from './assistants-file.js';
import { sentence } from './faults.js';

const assistant = { slug: 's', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };
const named = { name: 'find', description: 'Finds.', input_schema: { type: 'object' } };
const http = { run: 'http', ...named, url: 'https://tools.example/find' };
const client = { run: 'client', ...named };
const search = { run: 'provider', type: 'web_search_20260318' };
const env = { TOOLS: 'http://10.0.0.1:4010/', KEY: 'Bearer hush', BAD: 'hush\r\nx', FTP: 'ftp://hush' };

async function check(tools: readonly unknown[], lacksToolsSecret = false) {
  const document = { assistants: [{ ...assistant, tools }] };
  const { definitions, faults } = await checkAssistants(document, { env, lacksToolsSecret });
  return { tools: definitions[0]?.tools, faults: faults.map((fault) => sentence(fault, document)) };
}

describe('tools of an assistant', () => {
  it('are stored with all defaults, and with the names of variables instead of their values', async () => {
    const headers = { Authorization: 'env:KEY', 'X-Shop': 'one' };
    const { tools, faults } = await check([
      { ...http, url: 'env:TOOLS/find', headers },
      { ...http, name: 'all', approval: 'always', repeatable: true, timeout_seconds: 300, result_max_bytes: 1024 },
      { ...client, name: 'pick', result_schema: { type: 'string' } },
      { ...client, name: 'ask', approval: 'always' },
      { ...search, max_uses: 3 },
    ]);
    expect(faults).toEqual([]);
    const defaults = { approval: 'never', result_max_bytes: 65_536 };
    const remote = { ...defaults, headers: {}, repeatable: false, timeout_seconds: 30 };
    expect(tools).toEqual([
      { ...remote, ...http, url: 'env:TOOLS/find', headers },
      {
        ...remote,
        ...http,
        name: 'all',
        approval: 'always',
        repeatable: true,
        timeout_seconds: 300,
        result_max_bytes: 1024,
      },
      { ...defaults, ...client, name: 'pick', result_schema: { type: 'string' } },
      { ...defaults, ...client, name: 'ask', approval: 'always' },
      { ...search, name: 'web_search', max_uses: 3 },
    ]);
  });

  it.each([
    ['web_search_20250305', 'web_search'],
    ['web_fetch_20260318', 'web_fetch'],
    ['code_execution_20260521', 'code_execution'],
    ['tool_search_tool_bm25_20251119', 'tool_search_tool_bm25'],
    ['tool_search_tool_regex', 'tool_search_tool_regex'],
  ])('of the provider with the type %s have the name %s', async (type, name) => {
    for (const given of [{}, { name }])
      expect(await check([{ run: 'provider', type, ...given }])).toMatchObject({ tools: [{ name }], faults: [] });
  });

  const NO_SECRET =
    'must be env:NAME, an environment variable with the whole value: secrets do not stand in this file.';
  it.each([
    ['mcp', { ...http, run: 'mcp' }, 'run must be http, client or provider.'],
    ['without a kind', named, 'run must be http, client or provider.'],
    [
      'without a name',
      { ...http, name: undefined },
      'name must have 1 to 64 letters (a-z), digits, dashes and underscores.',
    ],
    [
      'with a long name',
      { ...http, name: 'n'.repeat(65) },
      'name must have 1 to 64 letters (a-z), digits, dashes and underscores.',
    ],
    [
      'with a name of two words',
      { ...http, name: 'find it' },
      'name must have 1 to 64 letters (a-z), digits, dashes and underscores.',
    ],
    ['without a description', { ...http, description: '' }, 'description must not be blank.'],
    [
      'with a long description',
      { ...http, description: 'd'.repeat(4001) },
      'description must be at most 4000 characters long.',
    ],
    ['without a schema', { ...http, input_schema: undefined }, 'input_schema must be a JSON Schema: a mapping.'],
    ['of text', { ...http, input_schema: { type: 'string' } }, 'input_schema must have `type: object`.'],
    [
      'with a choice of inputs',
      { ...http, input_schema: { type: 'object', oneOf: [{}] } },
      'input_schema must have no oneOf at the top: the model’s API does not take it.',
    ],
    [
      'with an odd property',
      { ...http, input_schema: { type: 'object', properties: { 'a b': {} } } },
      'input_schema must have properties with names of 1 to 64 letters (a-z), digits, dots, dashes and underscores.',
    ],
    [
      'with a schema that is none',
      { ...http, input_schema: { type: 'object', required: 'a' } },
      expect.stringMatching(
        /^input_schema is no JSON Schema that can be used: schema is invalid: data\/required must be array/,
      ),
    ],
    [
      'with a reference to nothing',
      { ...http, input_schema: { type: 'object', $ref: '#/a' } },
      expect.stringMatching(/^input_schema is no JSON Schema .*#\/a/),
    ],
    [
      'with a date of YAML',
      { ...http, input_schema: { type: 'object', default: new Date() } },
      'input_schema must have only values of JSON.',
    ],
    [
      'with an infinite number',
      { ...http, input_schema: { type: 'object', maximum: Infinity } },
      'input_schema must have only finite numbers.',
    ],
    [
      'with NUL',
      { ...http, input_schema: { type: 'object', title: '\0' } },
      'input_schema must have no NUL and no lone surrogates.',
    ],
    [
      'with a schema that has itself in it',
      { ...http, input_schema: circle() },
      'input_schema must have at most 32 levels.',
    ],
    [
      'with a large schema',
      { ...http, input_schema: { type: 'object', title: 't'.repeat(65_536) } },
      'input_schema must have at most 65536 bytes of JSON.',
    ],
    ['without an address', { ...http, url: undefined }, 'url must be a string.'],
    ['of FTP', { ...http, url: 'ftp://a' }, 'url must be an address that begins with https://, http:// or env:NAME.'],
    [
      'with half an address',
      { ...http, url: 'https://' },
      'url must be an address that begins with https://, http:// or env:NAME.',
    ],
    [
      'with a password',
      { ...http, url: 'https://a:hush@tools.example' },
      'url must have no user and no password in it.',
    ],
    ['with an unknown variable', { ...http, url: 'env:NONE/find' }, 'url names a variable: NONE is not set.'],
    [
      'with a variable that is no address',
      { ...http, url: 'env:FTP/find' },
      'url names a variable: FTP must be an address that begins with https:// or http://.',
    ],
    ['with a list of headers', { ...http, headers: [] }, 'headers must be a mapping.'],
    ['with a secret', { ...http, headers: { Authorization: 'Bearer hush' } }, `headers.Authorization ${NO_SECRET}`],
    [
      'with half a secret',
      { ...http, headers: { Authorization: 'Bearer env:KEY' } },
      `headers.Authorization ${NO_SECRET}`,
    ],
    ['with a cookie', { ...http, headers: { cookie: 'hush' } }, `headers.cookie ${NO_SECRET}`],
    [
      'with a secret for a proxy',
      { ...http, headers: { 'Proxy-Authorization': 'hush' } },
      `headers.Proxy-Authorization ${NO_SECRET}`,
    ],
    ['with a key', { ...http, headers: { 'X-Api-Key': 'hush' } }, `headers.X-Api-Key ${NO_SECRET}`],
    ['with a token', { ...http, headers: { 'x-token': 'hush' } }, `headers.x-token ${NO_SECRET}`],
    ['with a client’s secret', { ...http, headers: { 'Client-SECRET': 'hush' } }, `headers.Client-SECRET ${NO_SECRET}`],
    [
      'with an unknown variable in a header',
      { ...http, headers: { a: 'env:NONE' } },
      'headers.a names a variable: NONE is not set.',
    ],
    [
      'with a variable that no header can carry',
      { ...http, headers: { a: 'env:BAD' } },
      'headers.a names a variable: BAD holds characters that no header can carry.',
    ],
    [
      'with an odd variable',
      { ...http, headers: { a: 'env:MY-KEY' } },
      'headers.a must have the name of a variable after env:, of letters, digits and underscores.',
    ],
    ['with a number as a header', { ...http, headers: { a: 1 } }, 'headers.a must be a string.'],
    [
      'with a line break in a header',
      { ...http, headers: { a: 'hush\n' } },
      'headers.a must have only ASCII characters, without line breaks.',
    ],
    [
      'with a long header',
      { ...http, headers: { a: 'a'.repeat(4001) } },
      'headers.a must be at most 4000 characters long.',
    ],
    ['with an odd header', { ...http, headers: { 'a b': 'hush' } }, 'headers[…] is no name of a header.'],
    ['with a header twice', { ...http, headers: { a: '1', A: '2' } }, 'headers.A is there twice.'],
    [
      'with a header of ours',
      { ...http, headers: { 'Webhook-Id': '1' } },
      'headers.Webhook-Id is set by this service.',
    ],
    [
      'with many headers',
      { ...http, headers: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`h${n}`, ''])) },
      'headers must have at most 32 headers.',
    ],
    ['with too little time', { ...http, timeout_seconds: 0 }, 'timeout_seconds must be a whole number from 1 to 300.'],
    [
      'with a small result',
      { ...http, result_max_bytes: 1023 },
      'result_max_bytes must be a whole number from 1024 to 1048576.',
    ],
    ['that may be repeated perhaps', { ...http, repeatable: 'yes' }, 'repeatable must be true or false.'],
    ['with half an approval', { ...http, approval: 'sometimes' }, 'approval must be never or always.'],
    ['with a schema of its result', { ...http, result_schema: {} }, 'result_schema is not known.'],
    ['of a front-end with an address', { ...client, url: 'https://a' }, 'url is not known.'],
    ['of a front-end with a time', { ...client, timeout_seconds: 3 }, 'timeout_seconds is not known.'],
    ['of a front-end that may be repeated', { ...client, repeatable: true }, 'repeatable is not known.'],
    [
      'of a front-end with a text as a schema',
      { ...client, result_schema: 'string' },
      'result_schema must be a JSON Schema: a mapping.',
    ],
    [
      'of a front-end with a wrong schema',
      { ...client, result_schema: { type: 'date' } },
      expect.stringMatching(/^result_schema is no JSON Schema/),
    ],
    [
      'of the provider with another name',
      { ...search, name: 'search' },
      'name must be web_search, as this type has it.',
    ],
    ['of the provider with an odd setting', { ...search, max_uses: NaN }, 'max_uses must have only finite numbers.'],
    [
      'of the provider without a type',
      { run: 'provider' },
      expect.stringMatching(/^type must begin with web_search_, web_fetch_, code_execution_/),
    ],
    [
      'of the provider that its client runs',
      { run: 'provider', type: 'bash_20250124' },
      expect.stringMatching(/^type must begin with web_search_/),
    ],
  ])('%s are refused', async (_, tool, words) => {
    const { faults } = await check([client, { ...tool, ...('name' in tool && tool.name === 'find' && { name: 'b' }) }]);
    expect(faults.map((fault) => fault.replace('"s": tools[1].', ''))).toEqual([words]);
    expect(faults.join()).not.toMatch(/hush/);
  });

  it('have different names, and there are 128 at most', async () => {
    expect((await check([http, client])).faults).toEqual([
      '"s": tools[1].name is the name of another tool of this assistant.',
    ]);
    const many = Array.from({ length: 129 }, (_, n) => ({ ...client, name: `t${n}` }));
    expect((await check(many)).faults).toEqual(['"s": tools must have at most 128 entries.']);
    expect((await check(many.slice(1))).faults).toEqual([]);
  });

  it('must be mappings', async () => {
    expect((await check(['find'])).faults).toEqual(['"s": tools[0] must be a mapping.']);
  });

  it('that a worker runs with POST need TOOLS_SECRET where it is demanded', async () => {
    const words = '"s": tools has a tool with `run: http`, whose requests are signed: TOOLS_SECRET is not set.';
    expect(
      (
        await check(
          [client, http].map((tool, n) => ({ ...tool, name: `t${n}` })),
          true,
        )
      ).faults,
    ).toEqual([words]);
    expect((await check([client], true)).faults).toEqual([]);
  });
});

function circle(): object {
  const schema: Record<string, unknown> = { type: 'object' };
  return Object.assign(schema, { properties: { again: schema } });
}
