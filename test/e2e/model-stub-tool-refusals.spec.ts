import Anthropic, { type APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

type Block = Anthropic.ContentBlockParam;

const TOOL: Anthropic.Tool = { name: 'look', input_schema: { type: 'object' } };
const PATTERN = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'";

/** The Messages API's refusals of requests with tools, in its words. */
describe('the stand-in model refuses', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const user = (content: string | object[]): Anthropic.MessageParam => ({ role: 'user', content: content as Block[] });
  const assistant = (content: string | object[]): Anthropic.MessageParam => ({
    role: 'assistant',
    content: content as Block[],
  });
  const ask = (changes: object = {}): Promise<Anthropic.Message> =>
    client.messages.create({
      model: 'claude-sonnet-5-5',
      max_tokens: 500,
      tools: [TOOL],
      messages: [user('hello')],
      ...changes,
    });
  /** `taken`, or the message of a refusal with 400 `invalid_request_error`. */
  const refusal = async (changes: object): Promise<string> => {
    const error = await ask(changes).then(
      () => undefined,
      (thrown: unknown) => thrown as APIError,
    );
    if (error === undefined) return 'taken';
    const { error: inner } = error.error as { error: { type: string; message: string } };
    expect([error.status, inner.type]).toEqual([400, 'invalid_request_error']);
    return inner.message;
  };
  const holds = async (cases: (readonly [object, string])[]): Promise<void> => {
    for (const [changes, expected] of cases) expect(await refusal(changes)).toBe(expected);
  };

  it('tools whose names, fields or schemas are wrong', async () => {
    const tool = (changes: object): object => ({ tools: [{ ...TOOL, ...changes }] });
    const schema = (changes: object): object => tool({ input_schema: { type: 'object', ...changes } });
    const strict = (changes: object): object => tool({ strict: true, input_schema: { type: 'object', ...changes } });
    const at = 'tools.0.custom';
    const badSchema =
      `${at}.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12 ` +
      '(https://json-schema.org/draft/2020-12). Learn more about tool use at ' +
      'https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview.';
    await holds([
      [{ tools: 'look' }, 'tools: Input should be a valid list'],
      [{ tools: ['look'] }, 'tools.0: Input should be an object'],
      [tool({ type: 'custom', name: 'x'.repeat(128), description: 'Looks.', strict: false }), 'taken'],
      [tool({ name: undefined }), `${at}.name: Field required`],
      [tool({ name: 'look.up' }), `${at}.name: ${PATTERN}`],
      [tool({ name: 'x'.repeat(129) }), `${at}.name: ${PATTERN}`],
      [tool({ name: '' }), `${at}.name: ${PATTERN}`],
      [tool({ description: 5 }), `${at}.description: Input should be a valid string`],
      [tool({ parameters: {} }), `${at}.parameters: Extra inputs are not permitted`],
      [{ tools: [TOOL, { ...TOOL }] }, 'tools: Tool names must be unique.'],
      [tool({ input_schema: undefined }), `${at}.input_schema: Field required`],
      [tool({ input_schema: [] }), `${at}.input_schema: Input should be a valid dictionary`],
      [tool({ input_schema: {} }), `${at}.input_schema.type: Field required`],
      [tool({ input_schema: { type: 'string' } }), `${at}.input_schema.type: Input should be 'object'`],
      [
        schema({ properties: { a: { type: ['string', 'null'] } }, required: ['a'], additionalProperties: false }),
        'taken',
      ],
      [
        schema({ anyOf: [{}] }),
        `${at}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level`,
      ],
      [schema({ properties: { a: { type: 'text' } } }), badSchema],
      [schema({ properties: { a: { type: 'array', items: { enum: 'x' } } } }), badSchema],
      [schema({ required: 'a' }), badSchema],
      [strict({ additionalProperties: false, properties: { a: { type: 'string' } } }), 'taken'],
      [strict({}), `${at}: For 'object' type, 'additionalProperties' must be explicitly set to false`],
      [
        strict({ additionalProperties: false, properties: { a: { type: 'integer', minimum: 1, maximum: 2 } } }),
        `${at}: For 'integer' type, properties maximum, minimum are not supported`,
      ],
      [
        schema({ properties: { 'a b': {} } }),
        `${at}.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'`,
      ],
    ]);
  });

  it('unknown types of tools, and the API’s own tools under other names', async () => {
    const search = { type: 'web_search_20260318', name: 'web_search' };
    const at = 'tools.0.web_search_20260318';
    await holds([
      [{ tools: [search, { type: 'web_fetch_20250910', name: 'web_fetch', max_uses: 3 }, TOOL] }, 'taken'],
      [{ tools: [{ type: 'code_execution_20260521', name: 'code_execution' }] }, 'taken'],
      [{ tools: [{ type: 'computer_toolset_20260801' }] }, 'taken'],
      [{ tools: [{ ...search, name: 'search' }] }, `${at}.name: Input should be 'web_search'`],
      [{ tools: [{ type: search.type }] }, `${at}.name: Field required`],
      [{ tools: [{ ...search, max_uses: 0 }] }, `${at}.max_uses: Input should be greater than 0`],
      [{ tools: [{ ...search, input_schema: {} }] }, `${at}.input_schema: Extra inputs are not permitted`],
      [
        { tools: [{ ...search, allowed_domains: ['a.test'], blocked_domains: ['b.test'] }] },
        `${at}: Cannot specify both \`allowed_domains\` and \`blocked_domains\`.`,
      ],
      [{ tools: [search, { ...TOOL, name: 'web_search' }] }, 'tools: Tool names must be unique.'],
    ]);
    expect(await refusal({ tools: [{ type: 'function', name: 'look' }] })).toMatch(
      /^tools\.0: Input tag 'function' found using 'type' does not match any of the expected tags: 'bash_20250124', .*'custom'/,
    );
  });

  it('choices of tools that do not fit the tools, the model or its thinking', async () => {
    const choice = (tool_choice: object, more: object = {}): object => ({ tool_choice, ...more });
    const older = { model: 'claude-sonnet-5' };
    await holds([
      [choice({ type: 'auto', disable_parallel_tool_use: true }), 'taken'],
      [choice({ type: 'none' }), 'taken'],
      [
        choice({ type: 'some' }),
        "tool_choice: Input tag 'some' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'",
      ],
      [choice({ type: 'none', name: 'look' }), 'tool_choice.none.name: Extra inputs are not permitted'],
      [
        choice({ type: 'auto', disable_parallel_tool_use: 'yes' }),
        'tool_choice.auto.disable_parallel_tool_use: Input should be a valid boolean',
      ],
      [choice({ type: 'tool' }, older), 'tool_choice.tool.name: Field required'],
      [choice({ type: 'tool', name: 'touch' }, older), "Tool 'touch' not found in provided tools"],
      [choice({ type: 'tool', name: 'look' }, older), 'taken'],
      [
        choice({ type: 'any' }, { ...older, thinking: { type: 'adaptive' } }),
        'Thinking may not be enabled when tool_choice forces tool use.',
      ],
      ...['claude-sonnet-5-5', 'claude-opus-5-5'].flatMap((model) =>
        ['any', 'tool'].map(
          (type) =>
            [
              choice({ type, ...(type === 'tool' && { name: 'look' }) }, { model }),
              `tool_choice: "${type}" is not supported for this model. Use "auto" or "none".`,
            ] as const,
        ),
      ),
      [choice({ type: 'auto' }, { tools: [] }), 'tool_choice may only be specified while providing tools.'],
    ]);
  });

  it('calls and results in wrong places, of wrong forms, or without tools', async () => {
    const use = { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} };
    const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'x' };
    const text = { type: 'text', text: 'y' };
    const sent = (calls: object[], results: object[], more: object = {}): object => ({
      messages: [user('x'), assistant(calls), user(results)],
      ...more,
    });
    const unanswered =
      'messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. ' +
      'Each `tool_use` block must have a corresponding `tool_result` block in the next message.';
    const called = 'messages.1.content.0.tool_use';
    const gave = 'messages.2.content.0.tool_result';
    await holds([
      [sent([text, use], [result]), 'taken'],
      [sent([use], [result, text]), 'taken'],
      [sent([use], [text, result]), unanswered],
      [sent([use], [text]), unanswered],
      [
        sent([use], [result], { tools: undefined }),
        'Requests which include `tool_use` or `tool_result` blocks must define tools.',
      ],
      [sent([use, use], [result]), 'messages.1.content.1: `tool_use` ids must be unique'],
      [
        sent([use], [result, result]),
        'messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: toolu_1',
      ],
      [sent([{ ...use, id: 'a b' }], [result]), `${called}.id: String should match pattern '^[a-zA-Z0-9_-]+$'`],
      [sent([{ ...use, id: undefined }], [result]), `${called}.id: Field required`],
      [
        sent([{ ...use, name: 'look up' }], [result]),
        `${called}.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'`,
      ],
      [sent([{ ...use, input: undefined }], [result]), `${called}.input: Field required`],
      [sent([{ ...use, input: '{}' }], [result]), `${called}.input: Input should be a valid dictionary`],
      [sent([{ ...use, input: [] }], [result]), `${called}.input: Input should be a valid dictionary`],
      [
        sent([{ type: 'server_tool_use', id: 'toolu_1', name: 'web_search', input: {} }], [text]),
        "messages.1.content.0.server_tool_use.id: String should match pattern '^srvtoolu_[a-zA-Z0-9_]+$'",
      ],
      [{ messages: [user([use])] }, 'messages.0.content.0: `tool_use` blocks can only be in `assistant` messages'],
      [sent([result], [text]), 'messages.1.content.0: `tool_result` blocks can only be in `user` messages'],
      [sent([use], [{ ...result, content: undefined }]), 'taken'],
      [sent([use], [{ ...result, content: [], is_error: true }]), 'taken'],
      [sent([use], [{ ...result, content: [text, { type: 'image', source: {} }] }]), 'taken'],
      [sent([use], [{ ...result, content: 5 }]), `${gave}.content: Input should be a valid list`],
      [sent([use], [{ ...result, is_error: 'yes' }]), `${gave}.is_error: Input should be a valid boolean`],
      [sent([use], [{ ...result, name: 'look' }]), `${gave}.name: Extra inputs are not permitted`],
      [
        sent([use], [{ ...result, content: [{ type: 'text', text: '' }] }]),
        'messages: text content blocks must be non-empty',
      ],
      [
        sent([use], [{ ...result, content: [use] }]),
        `${gave}.content.0: Input tag 'tool_use' found using 'type' does not match any of the expected tags: ` +
          "'browser_state', 'document', 'image', 'search_result', 'text', 'tool_reference'",
      ],
      [
        sent([use, { type: 'text', text: ' ' }], [result]),
        'messages: text content blocks must contain non-whitespace text',
      ],
    ]);
  });

  describe('a step whose thoughts are not as they were:', () => {
    const SAYS = 'use look {"a":1,"b":2} then use look';
    const tools = [{ ...TOOL, description: 'Looks.' }];
    const expected = (what: string): string =>
      `messages.1.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${what}\`. When \`thinking\` is ` +
      'enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and ' +
      '`tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, ' +
      'disable `thinking`. Please consult our documentation at ' +
      'https://docs.claude.com/en/docs/build-with-claude/extended-thinking';
    const modified = (at: string): string =>
      `${at}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. ` +
      'These blocks must remain as they were in the original response.';
    const moved =
      'messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation. ' +
      'Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".';

    /** The blocks of a first step, and a request with its result. */
    const step = async (more: object = {}): Promise<{ blocks: Block[]; next: (blocks: object[]) => object }> => {
      const { content } = await ask({ tools, system: 'Be brief.', messages: [user(SAYS)], ...more });
      const id = content.find((block) => block.type === 'tool_use')?.id;
      const results = [{ type: 'tool_result', tool_use_id: id, content: 'seen' }];
      return {
        blocks: content,
        next: (blocks) => ({
          tools,
          system: 'Be brief.',
          ...more,
          messages: [user(SAYS), assistant(blocks), user(results)],
        }),
      };
    };

    it('changed, left out, or behind other tools, instructions or messages', async () => {
      const { blocks, next } = await step();
      const [thought, text, use] = blocks as [Anthropic.ThinkingBlock, Anthropic.TextBlock, Anthropic.ToolUseBlock];
      const whole = next(blocks);
      const reordered = { description: 'Looks.', ...TOOL };
      await holds([
        [whole, 'taken'],
        [next([{ ...thought, thinking: 'no' }, text, use]), modified('messages.1.content.0')],
        [next([text, use]), expected('text')],
        [next([use]), expected('tool_use')],
        [next([text, thought, use]), moved.replace('content.0', 'content.1')],
        [{ ...whole, system: 'Be long.' }, moved],
        [{ ...whole, tools: [{ ...tools[0], description: 'Sees.' }] }, moved],
        [{ ...whole, tools: [reordered] }, moved],
        [{ ...whole, tools: [...tools, { ...TOOL, name: 'touch' }] }, moved],
        // Cache marks may move.
        [{ ...whole, tools: [{ ...tools[0], cache_control: { type: 'ephemeral' } }] }, 'taken'],
        [{ ...whole, tool_choice: { type: 'none' } }, 'taken'],
        [
          {
            ...whole,
            thinking: { type: 'adaptive', block_binding: { prefix_mismatch_behavior: 'drop_block' } },
            system: 'x',
          },
          'taken',
        ],
      ]);
    });

    it('the second thought of a turn covers the calls and results before it, in the order of their fields', async () => {
      const { blocks, next } = await step();
      const first = next(blocks) as { messages: Anthropic.MessageParam[] };
      const { content } = await ask(first);
      const id = content.find((block) => block.type === 'tool_use')?.id;
      const [question, call, result] = first.messages as [
        Anthropic.MessageParam,
        Anthropic.MessageParam,
        Anthropic.MessageParam,
      ];
      const sent = (one: object, two: object, more: object = {}): object => ({
        ...first,
        messages: [
          question,
          one,
          two,
          assistant(content),
          user([{ type: 'tool_result', tool_use_id: id, content: 'seen again' }]),
        ],
        ...more,
      });
      const changed = (input: object): object => ({
        ...call,
        content: [...blocks.slice(0, 2), { ...blocks[2], input }],
      });
      const later = moved.replace('messages.1', 'messages.3');
      await holds([
        [sent(call, result), 'taken'],
        [sent(call, { ...result, content: [{ ...(result.content[0] as object), content: 'unseen' }] }), later],
        [sent(changed({ b: 2, a: 1 }), result), later],
        [sent(changed({ a: 1, b: 2 }), result), 'taken'],
        [sent({ ...call, content: blocks.slice(1) }, result), later],
      ]);
    });

    it('left out with an older model, too, if it thinks; but a finished turn may lack its thoughts', async () => {
      const older = { model: 'claude-sonnet-5' };
      const { blocks, next } = await step(older);
      const turned = next(blocks.slice(1)) as { messages: object[] };
      const finished = { ...turned, messages: [...turned.messages, assistant('Done.'), user('and now?')] };
      const enabled = {
        model: 'claude-haiku-4-5',
        thinking: { type: 'enabled', budget_tokens: 1_024 },
        max_tokens: 2_000,
      };
      const bare = { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} };
      const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'x' };
      await holds([
        [next(blocks), 'taken'],
        [turned, expected('text')],
        [finished, 'taken'],
        [{ ...turned, thinking: { type: 'disabled' } }, 'taken'],
        [{ ...enabled, messages: [user('x'), assistant([bare]), user([result])] }, expected('tool_use')],
      ]);
    });

    it('one of several', async () => {
      const twice = [{ type: 'thinking' }, { type: 'thinking' }, { type: 'tool_use', name: 'look', input: {} }];
      await stub.script(SAYS, { blocks: twice }, 1);
      const { blocks, next } = await step({ model: 'claude-sonnet-5' });
      await holds([
        [next(blocks), 'taken'],
        [next([blocks[0] as Block, blocks[2] as Block]), modified('messages.1.content.1')],
      ]);
    });
  });
});
