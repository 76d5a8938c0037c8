import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

type Params = Anthropic.MessageCreateParamsNonStreaming;
type Results = Record<string, Partial<Anthropic.ToolResultBlockParam>>;

const ID = { type: 'object' as const, properties: { order_id: { type: 'string' } }, required: ['order_id'] };
const TOOLS: Anthropic.ToolUnion[] = [
  { name: 'find_order', description: 'Finds an order by its number.', input_schema: ID },
  { name: 'cancel_order', input_schema: ID },
  { name: 'pick_date', input_schema: { type: 'object' } },
];
const SEARCH: Anthropic.ToolUnion = { type: 'web_search_20250305', name: 'web_search' };

/** The commands of docs/stand-in.md, and turns of several steps as a worker leads them. */
describe('the stand-in model, told in words,', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const asking = (content: string, more: object = {}): Params => ({
    model: 'claude-sonnet-5-5',
    max_tokens: 2_000,
    tools: TOOLS,
    messages: [{ role: 'user', content }],
    ...more,
  });
  const textOf = ({ content }: Anthropic.Message): string =>
    content.map((block) => (block.type === 'text' ? block.text : '')).join('');
  const callsOf = ({ content }: Anthropic.Message): Anthropic.ToolUseBlock[] =>
    content.filter((block) => block.type === 'tool_use');
  /** Leads a turn to its end, with these results by the tools' names. */
  const turn = async (params: Params, results: Results = {}): Promise<Anthropic.Message[]> => {
    const answers: Anthropic.Message[] = [];
    const messages = [...params.messages];
    for (;;) {
      const answer = await client.messages.stream({ ...params, messages }).finalMessage();
      answers.push(answer);
      if (answer.stop_reason !== 'tool_use' && answer.stop_reason !== 'pause_turn') return answers;
      messages.push({ role: 'assistant', content: answer.content });
      const content = callsOf(answer).map(({ id, name }): Anthropic.ToolResultBlockParam => ({
        type: 'tool_result',
        tool_use_id: id,
        content: `what ${name} says`,
        ...results[name],
      }));
      if (content.length > 0) messages.push({ role: 'user', content });
    }
  };

  it('calls a tool with the given input or one that suits the schema, thinks first, and quotes the result', async () => {
    const [step, end, ...more] = await turn(asking('use find_order {"order_id":"4711"}'));
    expect(step).toMatchObject({
      content: [
        { type: 'thinking', thinking: '', signature: expect.stringMatching(/./) },
        { type: 'text', text: '[Stand-in model] I use `find_order`.' },
        { type: 'tool_use', name: 'find_order', input: { order_id: '4711' }, id: expect.stringMatching(/^toolu_\w+$/) },
      ],
      stop_reason: 'tool_use',
    });
    expect(end).toMatchObject({ content: [{ type: 'thinking' }, { type: 'text' }], stop_reason: 'end_turn' });
    expect(textOf(end as Anthropic.Message)).toBe(
      '[Stand-in model] These are the results:\n\n- `find_order` gave: what find_order says',
    );
    expect(more).toEqual([]);
    const [made] = await turn(asking('use `find_order`'));
    expect(callsOf(made as Anthropic.Message)).toMatchObject([{ input: { order_id: 'example' } }]);
  });

  it('makes parallel calls in one step, and further steps when the results are there', async () => {
    const words = 'use find_order and pick_date, then use cancel_order {"order_id":"1"} then pick_date 2 times';
    const answers = await turn(asking(words), {
      pick_date: { content: [{ type: 'text', text: 'never' }] },
      cancel_order: { content: 'The user denied this call.', is_error: true },
      find_order: { content: 'not\n  found', is_error: true },
    });
    expect(answers.map((answer) => callsOf(answer).map(({ name }) => name))).toEqual([
      ['find_order', 'pick_date'],
      ['cancel_order'],
      ['pick_date', 'pick_date'],
      [],
    ]);
    expect(
      textOf(answers.at(-1) as Anthropic.Message)
        .split('\n')
        .slice(2),
    ).toEqual([
      '- `find_order` failed with an error: not found',
      '- `pick_date` gave: never',
      '- `cancel_order` was denied: The user denied this call.',
      '- `pick_date` gave: never',
      '- `pick_date` gave: never',
    ]);
    const ids = answers.flatMap((answer) => callsOf(answer).map(({ id }) => id));
    expect(new Set(ids).size).toBe(5);
  });

  it('goes through twenty steps, and gives the same answer to the same request', async () => {
    const words = `use pick_date${' then use pick_date'.repeat(19)}`;
    expect(await turn(asking(words))).toHaveLength(21);
    const params = asking('use find_order and pick_date');
    const [one, other] = [await client.messages.create(params), await client.messages.create(params)];
    const seen = ({ content, usage }: Anthropic.Message): unknown => [
      content.map((block) => ({ ...block, id: '', signature: '' })),
      usage,
    ];
    expect(seen(one)).toEqual(seen(other));
    const streamed = await client.messages.stream(params).finalMessage();
    expect(seen(streamed)).toMatchObject([(seen(one) as unknown[])[0], { output_tokens: one.usage.output_tokens }]);
  });

  it('begins anew with each turn of a conversation', async () => {
    const [, end] = await turn(asking('use find_order'));
    const history: Anthropic.MessageParam[] = [
      { role: 'user', content: 'use find_order' },
      { role: 'assistant', content: textOf(end as Anthropic.Message) },
    ];
    const again = await turn(asking('', { messages: [...history, { role: 'user', content: 'use pick_date' }] }));
    expect(again.map((answer) => callsOf(answer).map(({ name }) => name))).toEqual([['pick_date'], []]);
  });

  it('lists its tools, says which names it does not know, and answers other texts as ever', async () => {
    const say = async (words: string, more: object = {}): Promise<string> =>
      textOf(await client.messages.create(asking(words, more)));
    const list = await say('Which tools do you have?');
    expect(list).toMatch(/\n- `find_order`: Finds an order by its number\.\n- `cancel_order`\n- `pick_date`\n/);
    expect(await say('use find_orders')).toBe(
      '[Stand-in model] I have no tool named `find_orders`. My tools: `find_order`, `cancel_order`, `pick_date`.',
    );
    expect(await say('use find_order {broken')).toMatch(/What follows `find_order` is not a JSON object/);
    const usual = await say('How do I pay?');
    expect(usual).toMatch(/You asked: "How do I pay\?"[^]*To see a tool at work, say `use find_order`\./);
    expect(await say('How do I pay?', { tools: undefined })).not.toMatch(/tool/);
    expect(await say('use find_order', { tools: undefined })).toMatch(/You asked: "use find_order"/);
  });

  it('keeps to `tool_choice`', async () => {
    const none = await turn(asking('use find_order', { tool_choice: { type: 'none' } }));
    expect(none.map(textOf)).toEqual([expect.stringMatching(/I must not use tools now/)]);
    const one = { type: 'auto', disable_parallel_tool_use: true };
    const single = await turn(asking('use find_order and pick_date', { tool_choice: one }));
    expect(single.map((answer) => callsOf(answer).length)).toEqual([1, 1, 0]);
    const older = { model: 'claude-sonnet-5' };
    const any = await client.messages.create(asking('hello', { ...older, tool_choice: { type: 'any' } }));
    const forced = { type: 'tool', name: 'pick_date' };
    const given = await client.messages.create(asking('hello', { ...older, tool_choice: forced }));
    expect([any, given].map(({ content }) => content)).toMatchObject([
      [{ type: 'tool_use', name: 'find_order' }],
      [{ type: 'tool_use', name: 'pick_date' }],
    ]);
  });

  it('searches the web with sources, pauses when told to, and goes on to other tools', async () => {
    const more = { tools: [...TOOLS, SEARCH] };
    const [whole, ...rest] = await turn(asking('use web_search {"query":"weather"}', more));
    expect(rest).toEqual([]);
    expect(whole).toMatchObject({
      content: [
        { type: 'thinking' },
        { type: 'text' },
        { type: 'server_tool_use', name: 'web_search', input: { query: 'weather' } },
        { type: 'web_search_tool_result', content: [{ type: 'web_search_result', url: expect.any(String) }] },
        { type: 'text', citations: [{ type: 'web_search_result_location' }] },
        { type: 'text', text: expect.stringMatching(/I used `web_search`/) },
      ],
      stop_reason: 'end_turn',
      usage: { server_tool_use: { web_search_requests: 1 } },
    });
    const answers = await turn(asking('use web_search with a pause then use pick_date', more));
    expect(answers.map(({ stop_reason: reason }) => reason)).toEqual(['pause_turn', 'tool_use', 'end_turn']);
    expect(answers[1]?.content.map(({ type }) => type)).toEqual(['web_search_tool_result', 'text', 'tool_use']);
    expect(textOf(answers[2] as Anthropic.Message)).toMatch(/I used `web_search`[^]*`pick_date` gave/);
  });

  it('shows what may go wrong: a wrong input, a name that was not offered, a call that is cut off, many calls', async () => {
    const first = async (words: string, more: object = {}): Promise<Anthropic.Message> =>
      client.messages.stream(asking(words, more)).finalMessage();
    expect(callsOf(await first('use find_order with wrong input'))).toMatchObject([{ input: { order_id: 42 } }]);
    expect(callsOf(await first('use `rm` anyway'))).toMatchObject([{ name: 'rm' }]);
    expect(callsOf(await first('use pick_date 20 times'))).toHaveLength(20);
    const cut = await first('use find_order cut off');
    expect([cut.stop_reason, cut.content.at(-1)]).toMatchObject([
      'max_tokens',
      { type: 'tool_use', name: 'find_order' },
    ]);
    // A thought has 32 tokens, the sentence 9, and a call 20 besides its input.
    const short = await first('use find_order {"order_id":"a long number"}', { max_tokens: 32 + 9 + 20 + 4 });
    expect([short.stop_reason, short.usage.output_tokens]).toEqual(['max_tokens', 65]);
    expect(short.content.at(-1)).toMatchObject({ type: 'tool_use', input: {} });
  });

  it('ends its turn without a word if text follows results', async () => {
    const params = asking('use find_order');
    const step = await client.messages.create(params);
    const [call] = callsOf(step);
    const messages: Anthropic.MessageParam[] = [
      ...params.messages,
      { role: 'assistant', content: step.content },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: call?.id ?? '', content: 'found' },
          { type: 'text', text: 'and?' },
        ],
      },
    ];
    for (const answer of [
      await client.messages.create({ ...params, messages }),
      await client.messages.stream({ ...params, messages }).finalMessage(),
    ]) {
      expect([answer.content, answer.stop_reason]).toEqual([[], 'end_turn']);
    }
  });

  it('counts definitions, calls and results as input, and keeps in the cache what has a mark: tools, system, messages', async () => {
    const mark = { cache_control: { type: 'ephemeral' as const } };
    const long = { ...(TOOLS[0] as Anthropic.Tool), description: 'x'.repeat(4_000), ...mark };
    const system = [{ type: 'text' as const, text: 'y'.repeat(4_000), ...mark }];
    const params = asking('use find_order', { tools: [long], system, cache_control: { type: 'ephemeral' } });
    const { usage } = await client.messages.create({ ...params, tools: [], system: [], cache_control: null });
    const step = await client.messages.create(params);
    expect(step.usage.cache_creation_input_tokens).toBeGreaterThan(usage.input_tokens + 2_000);
    const result = {
      type: 'tool_result' as const,
      tool_use_id: callsOf(step)[0]?.id ?? '',
      content: 'z'.repeat(4_000),
    };
    const messages: Anthropic.MessageParam[] = [
      ...params.messages,
      { role: 'assistant', content: step.content },
      { role: 'user', content: [result] },
    ];
    const next = (await client.messages.create({ ...params, messages })).usage;
    expect(next.cache_read_input_tokens).toBe(step.usage.cache_creation_input_tokens);
    expect(next.cache_creation_input_tokens).toBeGreaterThan(1_000);
    // Another choice keeps tools and system, another tool keeps nothing.
    const other = await client.messages.create({ ...params, tool_choice: { type: 'none' } });
    expect(other.usage.cache_read_input_tokens).toBeGreaterThan(2_000);
    expect(other.usage.cache_creation_input_tokens).toBeGreaterThan(0);
    const changed = await client.messages.create({ ...params, tools: [{ ...long, name: 'find' }] });
    expect(changed.usage.cache_read_input_tokens).toBe(0);
  });

  it('remembers for tests what each step was sent', async () => {
    await turn(asking('use pick_date {"to":"remember"}', { tool_choice: { type: 'auto' } }));
    const calls = (await stub.allCalls()).filter(({ asked }) => asked.includes('remember'));
    expect(calls.map(({ tools, tool_choice: choice }) => [tools, choice])).toEqual(
      Array(2).fill([TOOLS, { type: 'auto' }]),
    );
    expect(calls[1]?.messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: [{ type: 'thinking' }, { type: 'text' }, { type: 'tool_use', name: 'pick_date' }] },
      { role: 'user', content: [{ type: 'tool_result', content: 'what pick_date says' }] },
    ]);
  });
});
