import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

const TOOL: Anthropic.Tool = { name: 'look', input_schema: { type: 'object', properties: { at: { type: 'string' } } } };

/** The odd things that models do with tools, as tests can script them. */
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
    tools: [TOOL],
    messages: [{ role: 'user', content }],
  });
  const streamed = (content: string): Promise<Anthropic.Message> =>
    client.messages.stream(asking(content)).finalMessage();
  const json = async (content: string): Promise<string[]> => {
    const fragments: string[] = [];
    for await (const event of await client.messages.create({ ...asking(content), stream: true })) {
      if (event.type === 'content_block_delta' && event.delta.type === 'input_json_delta') {
        fragments.push(event.delta.partial_json);
      }
    }
    return fragments;
  };
  const use = (more: object = {}): object => ({ type: 'tool_use', name: 'look', input: {}, ...more });

  it('streams an input in any fragments, empty ones or none', async () => {
    const input = { at: 'the\u{1F30D}' };
    const fragments = ['', '{"a', '', 't":', '"the\\ud83c', '\\udf0d"', '', '}'];
    await stub.script('odd pieces', { blocks: [use({ input, fragments })] });
    expect(await json('odd pieces')).toEqual(fragments);
    expect((await streamed('odd pieces')).content).toMatchObject([{ type: 'tool_use', input }]);
    await stub.script('no pieces', { blocks: [use({ fragments: [] })] });
    expect(await json('no pieces')).toEqual([]);
    expect((await streamed('no pieces')).content).toMatchObject([{ input: {} }]);
    await stub.script('empty input', { blocks: [use()] });
    expect(await json('empty input')).toEqual(['']);
    expect(await streamed('empty input')).toMatchObject({ content: [{ input: {} }], stop_reason: 'tool_use' });
  });

  it('cuts a call off in the middle of its JSON', async () => {
    const blocks = [{ type: 'text', text: 'I look.' }, use({ fragments: ['{"at":"he'] })];
    await stub.script('cut', { blocks, stop_reason: 'max_tokens' });
    expect(await json('cut')).toEqual(['{"at":"he']);
    expect(await streamed('cut')).toMatchObject({
      content: [{ text: 'I look.' }, { type: 'tool_use', input: {} }],
      stop_reason: 'max_tokens',
    });
  });

  it('breaks the connection in the middle of an input, or takes its time for it', async () => {
    const blocks = [use({ fragments: ['{"at":"he'], cut: true })];
    await stub.script('broken', { blocks });
    await expect(streamed('broken')).rejects.toThrow();
    const [broken] = await stub.calls('broken');
    expect(broken).toMatchObject({ outcome: 'scripted_cut', output_tokens: 23, billed: { output_tokens: 23 } });
    await stub.script('slowly', { piece_delay_ms: 60 });
    const began = performance.now();
    const { content } = await streamed('slowly, use look {"at":"a place that takes two pieces"}');
    expect(performance.now() - began).toBeGreaterThan(100);
    expect(content.at(-1)).toMatchObject({ type: 'tool_use', input: { at: 'a place that takes two pieces' } });
  });

  it('makes calls with text between them, twice the same, of unknown tools, with wrong inputs, or twenty at once', async () => {
    const text = { type: 'text', text: 'And:' };
    const strange = use({ name: 'touch', input: { at: 7 } });
    await stub.script('mixed', { blocks: [use(), text, use(), strange, text] });
    const { content, stop_reason: reason } = await streamed('mixed');
    expect(content).toMatchObject([use(), text, use(), strange, text]);
    expect(reason).toBe('tool_use');
    await stub.script('twenty', { blocks: Array.from({ length: 20 }, () => use()) });
    const many = (await streamed('twenty')).content;
    expect(new Set(many.map((block) => (block as Anthropic.ToolUseBlock).id)).size).toBe(20);
  });

  it('goes on after results with the next script, or with the usual report', async () => {
    await stub.script('step by step', { blocks: [{ type: 'thinking' }, use()] }, 2);
    const messages = asking('step by step').messages;
    for (let step = 0; step < 3; step++) {
      const answer = await client.messages.create({ ...asking(''), messages });
      messages.push({ role: 'assistant', content: answer.content });
      const id = answer.content.find((block) => block.type === 'tool_use')?.id;
      if (id === undefined) break;
      const result = { type: 'tool_result' as const, tool_use_id: id, content: `result ${step}` };
      messages.push({ role: 'user', content: [result] });
    }
    expect(messages.map(({ role }) => role)).toHaveLength(6);
    expect(JSON.stringify(messages.at(-1))).toMatch(/`look` gave: result 0\\n- `look` gave: result 1/);
  });

  it('has results of the API’s own tools, and counts them', async () => {
    await stub.script('fetch it', {
      blocks: [
        { type: 'server_tool_use', name: 'web_fetch', input: { url: 'https://a.test' } },
        { type: 'server_tool_result', kind: 'web_fetch', content: { type: 'web_fetch_result' } },
        { type: 'text', text: 'So.' },
      ],
    });
    const { content, usage } = await streamed('fetch it');
    const [call, result] = content as [Anthropic.ServerToolUseBlock, Anthropic.WebFetchToolResultBlock];
    expect(result).toMatchObject({ type: 'web_fetch_tool_result', tool_use_id: call.id });
    expect(usage.server_tool_use).toEqual({ web_search_requests: 0, web_fetch_requests: 1 });
  });

  it('is refused when it has unknown fields', async () => {
    const faults: [object, RegExp][] = [
      [use({ fragments: 'x' }), /blocks\[0\]\.fragments has a wrong value/],
      [{ type: 'server_tool_result', content: {} }, /blocks\[0\]\.kind is missing/],
    ];
    for (const [block, message] of faults) await expect(stub.script('x', { blocks: [block] })).rejects.toThrow(message);
  });
});
