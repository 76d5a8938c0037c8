import Anthropic, { type APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

type Event = Anthropic.RawMessageStreamEvent;

/** The answers that tests can script, as the worker's own SDK understands them. */
describe('a script of the stand-in model', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const asking = (content: string): Anthropic.MessageCreateParamsNonStreaming => ({
    model: 'claude-sonnet-5-5',
    max_tokens: 500,
    messages: [{ role: 'user', content }],
  });
  const events = async (content: string): Promise<Event[]> => {
    const seen: Event[] = [];
    for await (const event of await client.messages.create({ ...asking(content), stream: true })) seen.push(event);
    return seen;
  };
  const refused = (promise: Promise<unknown>): Promise<APIError> =>
    promise.then(
      () => {
        throw new Error('it was not refused');
      },
      (error: unknown) => error as APIError,
    );

  const RESULT = {
    type: 'web_search_result',
    url: 'https://a.test',
    title: 'A',
    encrypted_content: 'x',
    page_age: null,
  };
  const CITATION = {
    type: 'web_search_result_location',
    url: 'https://a.test',
    title: 'A',
    cited_text: 'so it is',
    encrypted_index: 'y',
  };
  const BLOCKS = [
    { type: 'thinking', thinking: 'Let me think about it.', display: 'summarized' },
    { type: 'thinking', thinking: 'not to be seen' },
    { type: 'redacted_thinking' },
    { type: 'text', text: 'All at once. ', in_start: true },
    { type: 'server_tool_use', name: 'web_search', input: { query: 'how is it' } },
    { type: 'web_search_tool_result', content: [RESULT] },
    { type: 'text', text: 'So it is.', citations: [CITATION] },
    { type: 'tool_use', name: 'look', input: { where: 'everywhere, and then a little further' } },
  ];

  it('gives an answer in blocks of every kind, the same unstreamed or streamed', async () => {
    await stub.script('in blocks', { blocks: BLOCKS });
    const streamed = await client.messages.stream(asking('in blocks')).finalMessage();
    const whole = await client.messages.create(asking('in blocks'));
    for (const message of [streamed, whole]) {
      expect(message.content).toMatchObject([
        { type: 'thinking', thinking: 'Let me think about it.', signature: expect.stringMatching(/./) },
        { type: 'thinking', thinking: '', signature: expect.stringMatching(/./) },
        { type: 'redacted_thinking', data: expect.stringMatching(/./) },
        { type: 'text', text: 'All at once. ' },
        { type: 'server_tool_use', name: 'web_search', input: { query: 'how is it' } },
        { type: 'web_search_tool_result', content: [RESULT] },
        { type: 'text', text: 'So it is.', citations: [CITATION] },
        { type: 'tool_use', name: 'look', input: BLOCKS[7]?.input },
      ]);
      const [use, result] = message.content.slice(4) as unknown as { id: string; tool_use_id: string }[];
      expect(result?.tool_use_id).toBe(use?.id);
      expect(message).toMatchObject({ stop_reason: 'tool_use', stop_details: null });
      expect(message.usage.server_tool_use).toEqual({ web_search_requests: 1, web_fetch_requests: 0 });
    }
    expect(whole.usage.output_tokens_details?.thinking_tokens).toBeGreaterThan(10);
    expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
    const calls = await stub.calls('in blocks');
    expect(calls.map(({ output_tokens }) => output_tokens)).toEqual(Array(2).fill(whole.usage.output_tokens));
  });

  it('streams a block as the API does: a start, deltas of its kind, a stop', async () => {
    await stub.script('event by event', { blocks: BLOCKS });
    const kinds = (await events('event by event')).map((event) =>
      event.type === 'content_block_delta' ? event.delta.type : event.type,
    );
    const start = 'content_block_start';
    const stop = 'content_block_stop';
    expect(kinds.filter((kind, n) => kind !== kinds[n - 1])).toEqual([
      ...['message_start', start, 'thinking_delta', 'signature_delta', stop],
      ...[start, 'signature_delta', stop],
      ...[start, stop],
      ...[start, stop],
      ...[start, 'input_json_delta', stop],
      ...[start, stop],
      ...[start, 'text_delta', 'citations_delta', stop],
      ...[start, 'input_json_delta', stop, 'message_delta', 'message_stop'],
    ]);
  });

  it('is silent while it thinks, except for pings, and can be cut there', async () => {
    const pings = async (question: string): Promise<string> => {
      const response = await fetch(`${stub.url}/v1/messages`, {
        method: 'POST',
        headers: { 'x-api-key': 'any' },
        body: JSON.stringify({ ...asking(question), stream: true }),
      });
      return response.text().catch(() => 'cut');
    };
    const thinking = { type: 'thinking', silent_ms: 100, ping_every_ms: 20, tokens: 70 };
    await stub.script('silent thought', { blocks: [thinking, { type: 'text', text: 'Yes.' }] });
    const text = await pings('silent thought');
    // A ping follows the first block's start in any case.
    expect(text.match(/event: ping/g)).toHaveLength(5);
    expect(text).toMatch(/"thinking_tokens":70/);
    await stub.script('broken thought', {
      blocks: [
        { ...thinking, cut: true },
        { type: 'text', text: 'No.' },
      ],
    });
    expect(await pings('broken thought')).toBe('cut');
  });

  it('counts text pieces over all blocks for a fault after some of them', async () => {
    await stub.script('in the second block', {
      blocks: [{ type: 'text', pieces: ['a', 'b'] }, { type: 'thinking' }, { type: 'text', pieces: ['c', 'd', 'e'] }],
      error_event_after: 4,
      error_type: 'api_error',
      error_code: 'ramp_limit_exceeded',
    });
    let text = '';
    const stream = client.messages.stream(asking('in the second block')).on('text', (piece) => (text += piece));
    const error = await refused(stream.finalMessage());
    expect(text).toBe('abcd');
    expect(error.error).toMatchObject({
      error: { type: 'api_error', details: { error_code: 'ramp_limit_exceeded' } },
      request_id: stream.request_id,
    });
  });

  it('without a text of its own gives one line, without a thought', async () => {
    await stub.script('at its own pace, in detail', { piece_delay_ms: 1 });
    const { content, usage } = await client.messages.create(asking('at its own pace, in detail'));
    expect(content).toEqual([
      { type: 'text', text: expect.stringMatching(/^\[Stand-in model\] [^\n]*in detail[^\n]*$/) },
    ]);
    expect(usage.output_tokens_details).toEqual({ thinking_tokens: 0 });
  });

  it('says why it refused', async () => {
    const stop_details = { category: 'cyber', explanation: 'This could do harm.' };
    await stub.script('refuse', { text: 'I', stop_reason: 'refusal', stop_details });
    const expected = { stop_reason: 'refusal', stop_details: { type: 'refusal', ...stop_details } };
    expect(await client.messages.create(asking('refuse'))).toMatchObject(expected);
    expect((await events('refuse')).at(-2)).toMatchObject({ type: 'message_delta', delta: expected });
  });

  it('gives any scripted figures of usage, late, or none', async () => {
    const usage = async (question: string): Promise<unknown[]> => {
      const seen = await events(question);
      return seen.flatMap((event) =>
        event.type === 'message_start' ? [event.message.usage] : event.type === 'message_delta' ? [event.usage] : [],
      );
    };
    await stub.script('wild', { text: 'x', usage_start: { input_tokens: -5 }, usage_delta: { output_tokens: 1e300 } });
    expect(await usage('wild')).toEqual([{ input_tokens: -5 }, { output_tokens: 1e300 }]);
    await stub.script('late', { text: 'x', usage: 'late' });
    expect(await usage('late')).toMatchObject([
      { input_tokens: 0, output_tokens: 0 },
      { input_tokens: 1, output_tokens: 1 },
    ]);
    await stub.script('without', { text: 'x', usage: 'none' });
    expect(await usage('without')).toEqual([undefined, undefined]);
  });

  it('fails with a code and the id of the request', async () => {
    await stub.script('no more', {
      status: 429,
      error_type: 'rate_limit_error',
      error_code: 'enforced_spend_limit_reached',
    });
    const error = await refused(client.messages.create(asking('no more')));
    expect(error).toBeInstanceOf(Anthropic.EnforcedSpendLimitReachedError);
    const [call] = await stub.calls('no more');
    expect([error.requestID, (error.error as { request_id: string }).request_id]).toEqual(
      Array(2).fill(call?.request_id),
    );
  });

  it('sends rate limits as the API does, or as scripted', async () => {
    const limits = async (question: string): Promise<Record<string, string>> => {
      const { response } = await client.messages.create(asking(question)).withResponse();
      return Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('anthropic-ratelimit-')));
    };
    const usual = await limits('usual');
    expect(Object.keys(usual).toSorted()).toEqual(
      ['input-tokens', 'output-tokens', 'requests', 'tokens'].flatMap((what) =>
        ['limit', 'remaining', 'reset'].map((figure) => `anthropic-ratelimit-${what}-${figure}`),
      ),
    );
    expect(usual['anthropic-ratelimit-tokens-reset']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    await stub.script('hardly any', {
      text: 'x',
      rate_limit: { requests: { limit: 50, remaining: 1, reset: '2030-01-01T00:00:00Z' } },
    });
    expect(await limits('hardly any')).toMatchObject({
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '1',
      'anthropic-ratelimit-requests-reset': '2030-01-01T00:00:00Z',
    });
    await stub.script('a gateway', { text: 'x', rate_limit: 'none' });
    expect(await limits('a gateway')).toEqual({});
  });

  it('is refused when it has unknown fields', async () => {
    const faults: [object, RegExp][] = [
      [{ blocks: [{ type: 'txt', text: 'x' }] }, /blocks\[0\]\.type is not known/],
      [{ blocks: [{ type: 'text' }] }, /blocks\[0\]\.text or \.pieces is missing/],
      [{ blocks: [{ type: 'text', text: 'x', delay: 1 }] }, /blocks\[0\]\.delay is not known/],
      [{ blocks: [{ type: 'thinking', display: 'loud' }] }, /blocks\[0\]\.display has a wrong value/],
      [{ blocks: [], text: 'x' }, /script\.text does not go with script\.blocks/],
      [{ usage: 'early' }, /script\.usage has a wrong value/],
      [{ rate_limit: { chars: {} } }, /script\.rate_limit has a wrong value/],
      [{ error_code: 5 }, /script\.error_code has a wrong value/],
    ];
    for (const [script, message] of faults) await expect(stub.script('x', script)).rejects.toThrow(message);
  });
});
