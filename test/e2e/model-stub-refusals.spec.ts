import Anthropic, { type APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Billed, ModelStub } from '../support/model-stub.js';

type Params = Anthropic.MessageCreateParamsNonStreaming;

const TOOL: Anthropic.Tool = { name: 'look', input_schema: { type: 'object' } };

/** The Messages API's refusals, in its words. A request that wrongly passes here would fail in production. */
describe('the stand-in model refuses', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const user = (content: Anthropic.MessageParam['content']): Anthropic.MessageParam => ({ role: 'user', content });
  const assistant = (content: Anthropic.MessageParam['content']): Anthropic.MessageParam => ({
    role: 'assistant',
    content,
  });
  const ask = (changes: object = {}): Promise<Anthropic.Message> =>
    client.messages.create({
      model: 'claude-sonnet-5-5',
      max_tokens: 100,
      messages: [user('hello')],
      ...changes,
    } satisfies Params);
  const refusal = async (promise: Promise<unknown>): Promise<string> => {
    const error = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown as APIError,
    );
    if (error === undefined) return 'taken';
    const body = error.error as { type: string; error: { type: string; message: string }; request_id: string };
    expect([body.type, body.request_id]).toEqual(['error', error.requestID]);
    return `${error.status} ${body.error.type} ${body.error.message}`;
  };
  const invalid = (message: string): string => `400 invalid_request_error ${message}`;
  const holds = async (cases: (readonly [object, string])[]): Promise<void> => {
    for (const [changes, expected] of cases) expect(await refusal(ask(changes))).toBe(expected);
  };

  it('fields that are missing, unknown or of a wrong type', async () => {
    await holds([
      [{ foo: 1 }, invalid('foo: Extra inputs are not permitted')],
      [{ model: undefined }, invalid('model: Field required')],
      [{ max_tokens: undefined }, invalid('max_tokens: Field required')],
      [{ max_tokens: 1.5 }, invalid('max_tokens: Input should be a valid integer')],
      [{ max_tokens: -1 }, invalid('max_tokens: Input should be greater than or equal to 0')],
      [{ messages: undefined }, invalid('messages: Field required')],
      [{ messages: 'hello' }, invalid('messages: Input should be a valid list')],
      [{ messages: [] }, invalid('messages: at least one message is required')],
      [{ system: 5 }, invalid('system: Input should be a valid list')],
      [{ metadata: 'me' }, invalid('metadata: Input should be an object')],
      [{ messages: [{ ...user('x'), id: 1 }] }, invalid('messages.0.id: Extra inputs are not permitted')],
      [
        { messages: [{ role: 'tool', content: 'x' }] },
        invalid("messages.0.role: Input should be 'user' or 'assistant'"),
      ],
      [{ messages: [{ role: 'user' }] }, invalid('messages.0.content: Field required')],
      [
        { messages: [user([{ type: 'text', text: 'x', lang: 'en' } as never])] },
        invalid('messages.0.content.0.text.lang: Extra inputs are not permitted'),
      ],
      [{ messages: [user([{ type: 'text' } as never])] }, invalid('messages.0.content.0.text.text: Field required')],
    ]);
    expect(await refusal(ask({ messages: [user([{ type: 'smell' } as never])] }))).toMatch(
      /^400 .* messages\.0\.content\.0: Input tag 'smell' found using 'type' does not match any of the expected tags: 'text',/,
    );
    const broken = await fetch(`${stub.url}/v1/messages`, { method: 'POST', headers: { 'x-api-key': 'k' }, body: '{' });
    expect([broken.status, ((await broken.json()) as { error: { type: string } }).error.type]).toEqual([
      400,
      'invalid_request_error',
    ]);
  });

  it('conversations that begin or end wrongly, and empty text', async () => {
    const prefill = invalid(
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    );
    const empty = invalid('messages: text content blocks must be non-empty');
    const blank = invalid('messages: text content blocks must contain non-whitespace text');
    await holds([
      [{ messages: [assistant('first'), user('x')] }, invalid('messages: first message must use the "user" role')],
      [{ messages: [user('x'), assistant('I')] }, prefill],
      [{ messages: [user('x'), assistant('I')], model: 'somebody-elses' }, prefill],
      [{ messages: [user('x'), assistant('I')], model: 'claude-haiku-4-5' }, 'taken'],
      [{ messages: [user('x'), user('y'), assistant('a'), assistant('b'), user('z')] }, 'taken'],
      [{ messages: [user('')] }, empty],
      [{ messages: [user([{ type: 'text', text: '' }])] }, empty],
      [{ messages: [user(' \n')] }, blank],
      [{ messages: [user([{ type: 'text', text: ' ' }])] }, blank],
      [{ system: [{ type: 'text', text: '' }] }, invalid('system: text content blocks must be non-empty')],
      [
        { messages: [user([])] },
        invalid('messages.0: all messages must have non-empty content except for the optional final assistant message'),
      ],
    ]);
  });

  it('calls of tools without their results, and results without their calls', async () => {
    const use = { type: 'tool_use' as const, id: 'toolu_1', name: 'look', input: {} };
    const result = { type: 'tool_result' as const, tool_use_id: 'toolu_1', content: 'x' };
    const search = { type: 'server_tool_use' as const, id: 'srvtoolu_1', name: 'web_search' as const, input: {} };
    const found = { type: 'web_search_tool_result' as const, tool_use_id: 'srvtoolu_1', content: [] };
    await holds([
      [{ tools: [TOOL], messages: [user('x'), assistant([use]), user([result])] }, 'taken'],
      [
        { tools: [TOOL], messages: [user('x'), assistant([use]), user('y')] },
        invalid(
          'messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. ' +
            'Each `tool_use` block must have a corresponding `tool_result` block in the next message.',
        ),
      ],
      [
        { tools: [TOOL], messages: [user('x'), assistant('y'), user([result])] },
        invalid(
          'messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. ' +
            'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.',
        ),
      ],
      [{ messages: [user('x'), assistant([search, found]), user('y')] }, 'taken'],
      [
        { messages: [user('x'), assistant([found]), user('y')] },
        invalid(
          'messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks: srvtoolu_1. ' +
            'Each `web_search_tool_result` block must have a corresponding `server_tool_use` block before it.',
        ),
      ],
      [
        { messages: [user('x'), assistant([search]), user('y')] },
        invalid(
          'messages.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding ' +
            '`web_search_tool_result` block',
        ),
      ],
    ]);
  });

  it('thoughts that were changed, invented, or belong to another model or conversation', async () => {
    await stub.script('think', {
      blocks: [
        { type: 'thinking', thinking: 'so', display: 'summarized' },
        { type: 'text', text: 'yes' },
      ],
    });
    const { content } = await ask({ messages: [user('think')] });
    const [thought, text] = content as [Anthropic.ThinkingBlock, Anthropic.TextBlock];
    const sent = (block: object, first = 'think'): object => ({
      messages: [user(first), assistant([block as never, text]), user('and then?')],
    });
    const signature = 'messages.1.content.0: Invalid `signature` in `thinking` block';
    const bound = (to: string): string =>
      invalid(
        `${signature}. The block is bound to a different ${to}. Remove the block, or set ` +
          '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".',
      );
    await holds([
      [sent(thought), 'taken'],
      [
        sent({ ...thought, thinking: 'no' }),
        invalid(
          'messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be ' +
            'modified. These blocks must remain as they were in the original response.',
        ),
      ],
      [sent({ ...thought, signature: 'mine' }), invalid(signature)],
      [sent(thought, 'think twice'), bound('conversation')],
      [{ ...sent(thought), model: 'claude-opus-5-5' }, bound('model')],
      [
        {
          ...sent(thought, 'think twice'),
          thinking: { type: 'adaptive', block_binding: { prefix_mismatch_behavior: 'drop_block' } },
        },
        'taken',
      ],
      // Older models do not check a thought's origin.
      [{ ...sent(thought, 'think twice'), model: 'claude-sonnet-5' }, 'taken'],
    ]);
  });

  it('what the model cannot do: too many tokens, sampling, kinds of thinking, forced tools, efforts', async () => {
    const too = (asked: number, most: number, name: string): string =>
      invalid(`max_tokens: ${asked} > ${most}, which is the maximum allowed number of output tokens for ${name}`);
    const haiku = { model: 'claude-haiku-4-5' };
    const off = (type: string): object => ({ thinking: { type } });
    const unsupported = (type: string, rest: string): string =>
      invalid(`"thinking.type.${type}" is not supported for this model. ${rest}`);
    const adaptive = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.';
    const budget = { thinking: { type: 'enabled', budget_tokens: 1024 }, max_tokens: 2048 };
    await holds([
      [{ max_tokens: 128_000, stream: true }, 'taken'],
      [{ max_tokens: 200_000, stream: true }, too(200_000, 128_000, 'claude-sonnet-5-5')],
      [{ ...haiku, max_tokens: 64_001, stream: true }, too(64_001, 64_000, 'claude-haiku-4-5-20251001')],
      [{ temperature: 1 }, 'taken'],
      [{ temperature: 0.5 }, invalid('`temperature` is deprecated for this model.')],
      [{ top_p: 1 }, invalid('`top_p` is deprecated for this model.')],
      [{ top_k: 5 }, invalid('`top_k` is deprecated for this model.')],
      [{ ...haiku, temperature: 0.5 }, 'taken'],
      [
        { ...haiku, temperature: 0.5, top_p: 0.5 },
        invalid('`temperature` and `top_p` cannot both be specified for this model. Please use only one.'),
      ],
      [off('adaptive'), 'taken'],
      [off('between_tools'), 'taken'],
      [off('disabled'), unsupported('disabled', 'Use "thinking.type.between_tools" to turn off up-front thinking.')],
      [{ ...off('disabled'), model: 'claude-opus-5-5' }, unsupported('disabled', adaptive)],
      [{ ...off('disabled'), model: 'claude-sonnet-5' }, 'taken'],
      [budget, unsupported('enabled', adaptive)],
      [{ ...budget, ...haiku }, 'taken'],
      [
        { ...budget, ...haiku, max_tokens: 1024 },
        invalid('`max_tokens` must be greater than `thinking.budget_tokens`.'),
      ],
      [
        { ...off('between_tools'), output_config: { effort: 'max' } },
        invalid('thinking.type "between_tools" is not supported with output_config.effort "max".'),
      ],
      [{ output_config: { effort: 'xhigh' } }, 'taken'],
      [
        { output_config: { effort: 'heroic' } },
        invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"),
      ],
      [{ ...haiku, output_config: { effort: 'low' } }, invalid('This model does not support the effort parameter.')],
      [{ tools: [TOOL], tool_choice: { type: 'auto' } }, 'taken'],
      [
        { tools: [TOOL], tool_choice: { type: 'any' } },
        invalid('tool_choice: "any" is not supported for this model. Use "auto" or "none".'),
      ],
      [{ tools: [TOOL], tool_choice: { type: 'any' }, model: 'claude-sonnet-5' }, 'taken'],
      [{ tool_choice: { type: 'auto' } }, invalid('tool_choice may only be specified while providing tools.')],
    ]);
  });

  it('prompts that are too long for the model, and bodies that are too large for the API', async () => {
    const long = user('x'.repeat(4 * 210_000));
    expect(await refusal(ask({ messages: [long], model: 'claude-haiku-4-5' }))).toBe(
      invalid('prompt is too long: 210000 tokens > 200000 maximum'),
    );
    expect(await refusal(ask({ messages: [long] }))).toBe('taken');
    expect(await refusal(ask({ messages: [user('x'.repeat(33 * 1024 * 1024))] }))).toBe(
      '413 request_too_large Request exceeds the maximum size',
    );
  });

  it('missing and bad keys, and takes good ones in either header', async () => {
    const with_ = async (headers: Record<string, string>): Promise<number> => {
      const body = JSON.stringify({ model: 'm', max_tokens: 10, messages: [user('x')] });
      return (await fetch(`${stub.url}/v1/messages`, { method: 'POST', headers, body })).status;
    };
    expect(await with_({})).toBe(401);
    expect(await with_({ 'x-api-key': 'invalid' })).toBe(401);
    expect(await with_({ authorization: 'Bearer invalid' })).toBe(401);
    expect(await with_({ 'x-api-key': 'good' })).toBe(200);
    expect(await with_({ authorization: 'Bearer good' })).toBe(200);
    const bad = new Anthropic({ apiKey: 'invalid', baseURL: stub.url, maxRetries: 0 });
    const asked = { model: 'm', max_tokens: 10, messages: [user('x')] };
    expect(await refusal(bad.messages.create(asked))).toBe('401 authentication_error invalid x-api-key');
    expect(await refusal(bad.models.list().then())).toBe('401 authentication_error invalid x-api-key');
  });

  it('unknown and retired models, but not a server’s own names', async () => {
    const missing = (name: string): string => `404 not_found_error model: ${name}`;
    await holds([
      [{ model: 'claude-nobody-9' }, missing('claude-nobody-9')],
      [{ model: 'claude-sonnet-4-20250514' }, missing('claude-sonnet-4-20250514')],
      [{ model: 'llama-of-ours', max_tokens: 1_000_000, temperature: 0.3, stream: true }, 'taken'],
    ]);
  });

  it('everything that the account’s state demands, until the state changes', async () => {
    const states = [
      ['bad_key', '401 authentication_error invalid x-api-key'],
      [
        'no_credit',
        invalid(
          'Your credit balance is too low to access the Anthropic API. ' +
            'Please go to Plans & Billing to upgrade or purchase credits.',
        ),
      ],
      ['billing', '402 billing_error There is an issue with your billing or payment information.'],
      ['spend_limit', '429 rate_limit_error Your organization has reached its monthly API usage threshold.'],
      [
        'own_limit',
        invalid('You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.'),
      ],
      ['no_permission', '403 permission_error Your API key does not have permission to use the specified resource.'],
      ['on_hold', invalid('This organization has been disabled.')],
    ] as const;
    for (const [state, expected] of states) {
      await stub.account(state);
      expect(await refusal(ask())).toBe(expected);
      expect(await refusal(ask())).toBe(expected);
    }
    const held = await ask().catch((error: unknown) => error);
    expect(held).toBeInstanceOf(Anthropic.OrganizationOnHoldError);
    await stub.account('spend_limit');
    expect(await ask().catch((error: unknown) => error)).toBeInstanceOf(Anthropic.EnforcedSpendLimitReachedError);
    await stub.account('ok');
    expect(await refusal(ask())).toBe('taken');
    await expect(stub.account('rich' as never)).rejects.toThrow(/state must be one of/);
  });

  it('and remembers refused calls, which cost nothing and use up no script', async () => {
    await stub.script('only once', { text: 'yes' }, 1);
    expect(await refusal(ask({ messages: [user('only once')], temperature: 0 }))).toMatch(/^400/);
    await stub.models('small', { max_input_tokens: 5 });
    expect(await refusal(ask({ messages: [user('only once, at length: '.repeat(9))], model: 'small' }))).toMatch(
      /^400/,
    );
    const { content } = await ask({ messages: [user('only once')] });
    expect(content).toMatchObject([{ text: 'yes' }]);
    const calls = await stub.calls('only once');
    expect(calls.map(({ outcome }) => outcome)).toEqual(['rejected', 'too_long', 'completed']);
    expect(calls.every(({ ended_at }) => ended_at !== null)).toBe(true);
    const nothing: Billed = {
      input_tokens: 0,
      cache_read_input_tokens: 0,
      cache_write_5m_input_tokens: 0,
      cache_write_1h_input_tokens: 0,
      output_tokens: 0,
      thinking_tokens: 0,
      web_search_requests: 0,
      web_fetch_requests: 0,
    };
    const bill = new Map((await stub.bill()).calls.map((call) => [call.id, call]));
    for (const { id } of calls.slice(0, 2)) expect(bill.get(id)).toMatchObject(nothing);
  });
});
