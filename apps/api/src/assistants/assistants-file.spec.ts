import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { checkAssistants, readAssistantsFile } from './assistants-file.js';
import { sentence } from './faults.js';

const good = { slug: 'support', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };
const ofModel = {
  max_output_tokens: 8192,
  show_reasoning: false,
  cache_ttl: '5m',
  context_tokens: 150_000,
  compaction: 'truncate',
};
const defaults = { ...ofModel, tools: [], mcp_servers: [], max_steps: 16, action_seconds: 86_400 };

/** The faults of a document, as sentences. */
async function faultsOf(document: unknown): Promise<string[]> {
  const { faults } = await checkAssistants(document);
  return faults.map((fault) => sentence(fault, document));
}

describe('the assistants file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** The error for a file with this text, without its first line. */
  const saidOf = async (text: string, env: NodeJS.ProcessEnv = {}): Promise<string[]> => {
    const path = join(folder, 'assistants.yaml');
    await writeFile(path, text);
    const said = await readAssistantsFile(path, { env }).catch((error: Error) => error.message);
    return typeof said === 'string' ? said.split('\n  - ').slice(1) : [];
  };

  it('that ships has support, billing and general', async () => {
    const { definitions } = await readAssistantsFile('assistants.yaml');
    expect(definitions.map(({ slug }) => slug).sort()).toEqual(['billing', 'general', 'support']);
  });

  it('of the examples has the same assistants, and one with tools', async () => {
    const { assistants } = parse(await readFile('examples/assistants.yaml', 'utf8'));
    const ours = parse(await readFile('assistants.yaml', 'utf8'));
    expect(assistants.slice(0, -1)).toEqual(ours.assistants);
    const env = { EXAMPLE_TOOLS_URL: 'http://127.0.0.1:4010' };
    const { definitions } = await readAssistantsFile('examples/assistants.yaml', { env });
    expect(definitions.at(-1)).toMatchObject({
      slug: 'orders',
      tools: [
        { name: 'find_order', run: 'http', repeatable: true, approval: 'never' },
        { name: 'refund_order', run: 'http', repeatable: false, approval: 'always' },
        { name: 'opening_hours', run: 'http' },
        { name: 'pick_date', run: 'client', result_schema: { type: 'string', format: 'date' } },
      ],
    });
  });

  it('may leave the length of a reply and its steps to us', async () => {
    const { definitions, faults } = await checkAssistants({ assistants: [good] });
    expect([definitions, faults]).toEqual([[{ ...good, ...defaults }], []]);
  });

  it.each([
    'claude-sonnet-4-5@20250929',
    'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    'arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0',
    'arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/ab12cd34ef56',
  ])('may name a model as its provider does: %s', async (model) => {
    const { definitions, faults } = await checkAssistants({ assistants: [{ ...good, model }] });
    expect([definitions[0]?.model, faults]).toEqual([model, []]);
  });

  it('may say how the model thinks, with how much effort, in how many steps, and how long a person may take', async () => {
    const chosen = [
      { ...good, thinking: 'between_tools' },
      { ...good, slug: 'sales', thinking: 'adaptive', effort: 'max', show_reasoning: true },
      { ...good, slug: 'open', show_reasoning: true },
      { ...good, slug: 'quick', thinking: 'disabled', effort: 'low', retention_days: 3, max_steps: 64 },
    ];
    const slow = { ...good, slug: 'slow', action_timeout_seconds: 2_592_000 };
    const { definitions, faults } = await checkAssistants({ assistants: [...chosen, slow] });
    expect(faults).toEqual([]);
    expect(definitions).toEqual([
      ...chosen.map((definition) => ({ ...defaults, ...definition })),
      { ...good, ...defaults, slug: 'slow', action_seconds: 2_592_000 },
    ]);
  });

  it('is told all its faults at once, each with the entry it is in', async () => {
    const wrong = { name: '', max_output_tokens: 0, max_steps: 65, action_timeout_seconds: 59, thinking: 'enabled' };
    const others = { effort: 3, retention_days: 0.5, tools: {}, mcp_servers: ['docs'], tone: 1 };
    const faults = await faultsOf({
      assistants: [
        good,
        good,
        { ...good, slug: 'Sales' },
        { ...good, slug: 'x', ...wrong, ...others },
        5,
        { ...good, slug: 'mute', thinking: 'disabled', show_reasoning: true },
        { ...good, slug: 'brief', thinking: 'between_tools', show_reasoning: true },
        { ...good, slug: 'odd', show_reasoning: 'yes' },
      ],
    });
    expect(faults).toEqual([
      '"support": is defined twice.',
      '"Sales": slug must be a lower-case name of a-z, 0-9 and dashes.',
      '"x": name must not be blank.',
      '"x": max_output_tokens must be a whole number from 1 to 128000.',
      '"x": thinking must be adaptive, between_tools or disabled.',
      '"x": effort must be low, medium, high, xhigh or max.',
      '"x": retention_days must be a whole number from 1 to 36500.',
      '"x": tools must be a list.',
      '"x": mcp_servers[0] is no server of `mcp_servers` at the top of the file.',
      '"x": max_steps must be a whole number from 1 to 64.',
      '"x": action_timeout_seconds must be a whole number from 60 to 2592000.',
      '"x": tone is not known.',
      'entry 5: must be a mapping.',
      '"mute": show_reasoning must not be true with thinking: disabled, which shows no reasoning.',
      '"brief": show_reasoning must not be true with thinking: between_tools, which shows no reasoning.',
      '"odd": show_reasoning must be true or false.',
    ]);
  });

  it.each([null, {}, { assistants: [] }, { assistants: 'support' }, []])(
    '%j defines nothing usable',
    async (document) => {
      expect(await faultsOf(document)).toEqual(['`assistants` must be a list with entries.']);
    },
  );

  it('may have other keys at its top, for instance for anchors', async () => {
    expect(await faultsOf({ assistants: [good], common: { model: 'm' } })).toEqual([]);
  });

  it('that is missing is named', async () => {
    await expect(readAssistantsFile('nowhere.yaml')).rejects.toThrow(/ASSISTANTS_FILE nowhere.yaml/);
  });

  it('is told the line of each fault: of the field, or of what lacks it, in the order of the lines', async () => {
    const text = `mcp_servers:
  docs:
    url: env:DOCS_URL
assistants:
  - slug: one
    name: One
    description: D
    system_prompt: |
      A prompt
      of two lines
    welcome_message: W
    model: m
    tools:
      - run: http
        name: a
        description: A
        url: ftp://x
        input_schema: { type: object, properties: { a: { type: objekt } } }
      - run: client
        name: a
        description: B
        input_schema: &schema { type: object }
  - slug: two
    name: Two
    description: D
    system_prompt: P
    welcome_message: W
    tools: [{ run: client, name: b, description: B, input_schema: *schema, headers: {} }]
`;
    expect(await saidOf(text)).toEqual([
      'line 3: mcp_servers.docs.url names a variable: DOCS_URL is not set.',
      'line 17: "one": tools[0].url must be an address that begins with https://, http:// or env:NAME.',
      expect.stringMatching(/^line 18: "one": tools\[0\]\.input_schema is no JSON Schema that can be used: schema is/),
      'line 20: "one": tools[1].name is the name of another tool of this assistant.',
      'line 23: "two": model must be a string.',
      'line 28: "two": tools[0].headers is not known.',
    ]);
    expect(await saidOf(text, { DOCS_URL: 'https://docs.example' })).toHaveLength(5);
  });

  it.each([
    ['a key that occurs twice', 'a: hush\nb: 1\na: hush', ['line 3: A key occurs twice in one mapping.']],
    ['a wrong indentation', 'a:\n  b: hush\n c: hush', ['line 3: The indentation is wrong.']],
    ['a quote that is missing', 'a: 1\nb: "hush', ['line 2: A character is missing']],
    ['what does not belong there', 'a: 1\n]hush', ['line 2: Something stands here that does not belong here.']],
    ['a tag', 'a: 1\nb: !env HUSH', ['line 2: A tag (!) is not known']],
    ['an alias without its anchor', 'a: 1\nb: *hush', ['line 2: An alias is not well formed, or names no anchor']],
    ['another document', 'a: 1\n---\nb: hush', ['line 2: There is more than one document']],
    ['aliases that grow', `a0: &a0 [1]\n${bomb()}`, ['Aliases repeat too much.']],
  ])('is told %s, with its line and without its text', async (_, text, words) => {
    const said = await saidOf(text);
    expect(said).toEqual(words.map((each) => expect.stringContaining(each)));
    expect(said.join()).not.toMatch(/hush/i);
  });

  it('is not quoted: a misplaced line of a prompt may look like a key or a slug', async () => {
    const text = "assistants:\n  - slug: Say that the password is hush!\n    You may say 'hush' to nobody: 1";
    const said = await saidOf(text);
    expect(said).toContain('line 3: entry 1: […] is no name of a field.');
    expect(said.join()).not.toMatch(/hush/);
  });
});

/** Lists of lists, each ten times the one before. */
function bomb(): string {
  return [1, 2, 3, 4]
    .map(
      (n) =>
        `a${n}: &a${n} [${Array(10)
          .fill(`*a${n - 1}`)
          .join(', ')}]`,
    )
    .join('\n');
}
