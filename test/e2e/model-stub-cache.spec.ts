import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

const MINUTE_MS = 60_000;

/** The prompt cache's reads and writes, and the bill. A token is four characters here. */
describe('the prompt cache of the stand-in model', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    // The SDK warns of deprecated models.
    jest.spyOn(console, 'warn').mockReturnValue(undefined);
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
    await stub.script('', { text: 'ok' });
  });
  beforeEach(() => stub.clearCache());
  afterAll(async () => {
    jest.restoreAllMocks();
    await stub.stop();
  });

  type Mark = Anthropic.CacheControlEphemeral;
  const FIVE: Mark = { type: 'ephemeral' };
  const HOUR: Mark = { type: 'ephemeral', ttl: '1h' };

  /** A block of this many tokens. The same name gives the same text. */
  const block = (name: string, tokens: number, cache_control?: Mark): Anthropic.TextBlockParam => ({
    type: 'text',
    text: name.padEnd(tokens * 4, '.'),
    ...(cache_control && { cache_control }),
  });
  const ask = async (
    system: Anthropic.TextBlockParam[],
    content: Anthropic.TextBlockParam[],
    more: Partial<Anthropic.MessageCreateParamsNonStreaming> = {},
  ): Promise<Record<string, number>> => {
    const { usage } = await client.messages.create({
      model: 'claude-sonnet-5-5',
      max_tokens: 100,
      system,
      messages: [{ role: 'user', content }],
      ...more,
    });
    return {
      plain: usage.input_tokens,
      read: usage.cache_read_input_tokens ?? 0,
      written: usage.cache_creation_input_tokens ?? 0,
      minutes: usage.cache_creation?.ephemeral_5m_input_tokens ?? 0,
      hour: usage.cache_creation?.ephemeral_1h_input_tokens ?? 0,
    };
  };

  it('writes marked blocks, reads them the next time, and counts the rest as input; the three add up to all tokens', async () => {
    const system = [block('rules', 600, FIVE)];
    expect(await ask(system, [block('one', 10)])).toMatchObject({ plain: 10, read: 0, written: 600, minutes: 600 });
    expect(await ask(system, [block('two', 20)])).toMatchObject({ plain: 20, read: 600, written: 0 });
    expect(await ask([block('other', 600, FIVE)], [block('two', 20)])).toMatchObject({ read: 0, written: 600 });
  });

  it('keeps no unmarked blocks, none below the model’s minimum, and none for another model', async () => {
    await ask([block('rules', 600)], [block('one', 10)]);
    expect(await ask([block('rules', 600)], [block('one', 10)])).toMatchObject({ plain: 610, read: 0, written: 0 });
    for (const [model, least] of [
      ['claude-sonnet-5-5', 512],
      ['claude-sonnet-4-5', 1_024],
      ['claude-haiku-4-5', 4_096],
    ] as const) {
      expect(await ask([block(model, least - 1, FIVE)], [block('x', 1)], { model })).toMatchObject({ written: 0 });
      expect(await ask([block(model, least, FIVE)], [block('x', 1)], { model })).toMatchObject({ written: least });
    }
    const system = [block('rules', 600, FIVE)];
    await ask(system, [block('x', 1)]);
    expect(await ask(system, [block('x', 1)], { model: 'claude-opus-5-5' })).toMatchObject({ read: 0 });
  });

  it('grows with a conversation that has a top-level mark', async () => {
    const more = { cache_control: FIVE };
    expect(await ask([block('rules', 500)], [block('a', 100)], more)).toMatchObject({ written: 600 });
    const longer = [block('a', 100), block('b', 50)];
    expect(await ask([block('rules', 500)], longer, more)).toEqual({
      plain: 0,
      read: 600,
      written: 50,
      minutes: 50,
      hour: 0,
    });
  });

  it('looks back twenty blocks from a mark, and no further', async () => {
    const blocks = (most: number): Anthropic.TextBlockParam[] =>
      Array.from({ length: most }, (_, n) => block(`block ${n}`, 30, n === most - 1 ? FIVE : undefined));
    await ask([], blocks(20));
    // The mark's own block is the first of twenty, and the entry's is the last.
    expect(await ask([], blocks(39))).toMatchObject({ read: 600, written: 570 });
    await stub.clearCache();
    await ask([], blocks(20));
    expect(await ask([], blocks(40))).toMatchObject({ read: 0, written: 1_200 });
  });

  it('forgets after five minutes or an hour, as paid for, unless it is read meanwhile', async () => {
    const system = [block('for an hour', 600, HOUR)];
    const content = [block('for minutes', 100, FIVE)];
    expect(await ask(system, content)).toMatchObject({ written: 700, hour: 600, minutes: 100 });
    await stub.pass(4 * MINUTE_MS);
    expect(await ask(system, content)).toMatchObject({ read: 700 });
    await stub.pass(4 * MINUTE_MS);
    expect(await ask(system, content)).toMatchObject({ read: 700 });
    await stub.pass(6 * MINUTE_MS);
    expect(await ask(system, content)).toMatchObject({ read: 600, written: 100, minutes: 100 });
    await stub.pass(61 * MINUTE_MS);
    expect(await ask(system, content)).toMatchObject({ read: 0, written: 700 });
  });

  it('counts the time of an entry from the beginning of the request that wrote it', async () => {
    await stub.clearScripts();
    await stub.script('takes a second', { delay_ms: 1_000, text: 'ok' });
    const system = [block('rules', 600, FIVE)];
    const slow = ask(system, [block('takes a second', 8)]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await stub.pass(5 * MINUTE_MS - 1);
    await slow;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await ask(system, [block('x', 1)])).toMatchObject({ read: 0, written: 600 });
    await stub.script('', { text: 'ok' });
  });

  it('keeps the instructions when effort is switched, unless to the usual one, and nothing when the schema of the output is', async () => {
    const system = [block('rules', 600, FIVE)];
    const content = [block('talk', 100, FIVE)];
    await ask(system, content);
    expect(await ask(system, content, { output_config: { effort: 'high' } })).toMatchObject({ read: 700 });
    expect(await ask(system, content, { output_config: { effort: 'low' } })).toMatchObject({ read: 600, written: 100 });
    const format = {
      type: 'json_schema',
      schema: { type: 'object', properties: {}, additionalProperties: false },
    } as const;
    expect(await ask(system, content, { output_config: { format } })).toMatchObject({ read: 0, written: 700 });
  });

  it('keeps the instructions when thinking is switched, but not the conversation', async () => {
    const system = [block('rules', 600, FIVE)];
    const content = [block('talk', 100, FIVE)];
    await ask(system, content);
    const thinking = { type: 'between_tools' } as const;
    expect(await ask(system, content, { thinking })).toMatchObject({ read: 600, written: 100 });
  });

  it('takes four marks, in the order of their times, on non-empty text', async () => {
    const marks = (most: number): Anthropic.TextBlockParam[] =>
      Array.from({ length: most }, (_, n) => block(`${n}`, 10, FIVE));
    await ask([], marks(4));
    const refused: [() => Promise<unknown>, string][] = [
      [() => ask([], marks(5)), 'A maximum of 4 blocks with cache_control may be provided. Found 5.'],
      [() => ask([], [...marks(4), block('x', 1)], { cache_control: FIVE }), 'may be provided. Found 5.'],
      [() => ask([block('a', 9, FIVE)], [block('b', 9, HOUR)]), "a ttl='1h' cache_control block must not come after"],
      [
        () => ask([], [block('b', 9, HOUR)], { cache_control: FIVE }),
        "Top-level cache_control has ttl='5m' but the target",
      ],
      [() => ask([], [block('b', 9, { type: 'eternal' } as never)]), "cache_control.type: Input should be 'ephemeral'"],
      [
        () => ask([{ type: 'text', text: '', cache_control: FIVE }], [block('b', 9)]),
        'cannot be set for empty text blocks',
      ],
    ];
    for (const [asking, message] of refused) await expect(asking()).rejects.toThrow(message);
  });

  it('is on the bill of every call, even of broken and abandoned ones', async () => {
    const system = [block('dear rules', 600, FIVE)];
    const asked = (content: string): Anthropic.MessageCreateParamsStreaming => ({
      model: 'claude-sonnet-5-5',
      max_tokens: 100,
      system,
      messages: [{ role: 'user', content: [block(content, 8)] }],
      stream: true,
    });
    await stub.clearScripts();
    await stub.script('cut', { pieces: ['four', 'four', 'four'], cut_after: 2 });
    await stub.script('left', { pieces: ['four', 'four', 'four'], stall_after: 3 });
    await stub.script('failed', { status: 500 });
    await stub.script('mute', { hang_before_headers: true });
    const before = (await stub.bill()).total;
    const drain = async (content: string): Promise<void> => {
      let pieces = 0;
      for await (const event of await client.messages.create(asked(content))) {
        if (event.type === 'content_block_delta' && ++pieces === 3) break;
      }
    };
    await expect(drain('cut')).rejects.toThrow();
    await drain('left');
    await expect(drain('failed')).rejects.toThrow();
    const mute = new AbortController();
    const silent = client.messages.create(asked('mute'), { signal: mute.signal });
    while ((await stub.calls('mute')).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    mute.abort();
    await expect(silent).rejects.toThrow();
    while ((await stub.allCalls()).some(({ outcome }) => outcome === 'running')) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const { calls, total } = await stub.bill();
    const [cut, left, failed, closed] = calls.slice(-4);
    expect(cut).toMatchObject({
      outcome: 'scripted_cut',
      input_tokens: 8,
      cache_write_5m_input_tokens: 600,
      output_tokens: 2,
    });
    expect(left).toMatchObject({
      outcome: 'client_closed',
      input_tokens: 8,
      cache_read_input_tokens: 600,
      output_tokens: 3,
    });
    expect(failed).toMatchObject({
      outcome: 'scripted_error',
      input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: 0,
    });
    // The API goes on with a request, even if its client has left.
    expect(closed).toMatchObject({ outcome: 'client_closed', cache_read_input_tokens: 600, output_tokens: 0 });
    expect(total.cache_read_input_tokens - before.cache_read_input_tokens).toBe(1_200);
    expect(total.output_tokens - before.output_tokens).toBe(5);
  });
});
