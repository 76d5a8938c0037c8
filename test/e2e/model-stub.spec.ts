import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startModelStub } from '../../apps/model-stub/src/server.js';
import { ModelStub } from '../support/model-stub.js';

/** Behaviour on which tests, and developers without a key, rely; called through the worker's own SDK. */
describe('the stand-in model', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const asking = (content: string, max_tokens = 500): Anthropic.MessageCreateParamsNonStreaming => ({
    model: 'claude-sonnet-5-5',
    max_tokens,
    messages: [{ role: 'user', content }],
  });
  const textOf = (message: Anthropic.Message): string =>
    message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');

  it('gives the same answer unstreamed or streamed, with usage and a stop reason, and says that it is a stand-in', async () => {
    for (const [question, mark] of [
      ['¿Cómo reinstalo el software?', '[Modelo de prueba]'],
      ['How do I reinstall it?', '[Stand-in model]'],
    ] as const) {
      const whole = await client.messages.create(asking(question));
      expect(textOf(whole)).toMatch(/reinstal/);
      expect(textOf(whole).startsWith(mark)).toBe(true);
      expect(whole).toMatchObject({
        type: 'message',
        role: 'assistant',
        model: 'claude-sonnet-5-5',
        stop_reason: 'end_turn',
      });
      expect(whole.usage.input_tokens).toBeGreaterThan(0);
      expect(whole.usage.output_tokens).toBeGreaterThan(20);

      const stream = client.messages.stream(asking(question));
      const pieces: string[] = [];
      stream.on('text', (piece) => pieces.push(piece));
      const streamed = await stream.finalMessage();
      expect(pieces.length).toBeGreaterThan(10);
      expect(pieces.join('')).toBe(textOf(whole));
      expect({ ...streamed, id: '' }).toMatchObject({ ...whole, id: '' });
    }
  });

  it('stops at `max_tokens`', async () => {
    const cut = await client.messages.create(asking('Tell me everything', 5));
    expect([cut.stop_reason, cut.usage.output_tokens]).toEqual(['max_tokens', 5]);
    const streamed = await client.messages.stream(asking('Tell me everything', 5)).finalMessage();
    expect([streamed.stop_reason, textOf(streamed)]).toEqual(['max_tokens', textOf(cut)]);
  });

  it('thinks first, as today’s models do; its thoughts count, and may leave no room for text', async () => {
    const answer = await client.messages.create(asking('What is it?'));
    expect(answer.content).toMatchObject([{ type: 'thinking', thinking: '' }, { type: 'text' }]);
    expect(answer.usage.output_tokens_details).toEqual({ thinking_tokens: 32 });
    expect(answer.usage.output_tokens).toBe(32 + Math.ceil(textOf(answer).length / 4));
    const [call] = await stub.calls('What is it?');
    expect(call?.output_tokens).toBe(answer.usage.output_tokens);
    const cut = await client.messages.create(asking('What is it?', 32));
    expect(cut).toMatchObject({ content: [{ type: 'thinking' }], stop_reason: 'max_tokens' });
    const short = await client.messages.create(asking('What is it?', 40));
    expect([textOf(short).length, short.usage.output_tokens]).toEqual([8 * 4, 40]);

    const summarized = { type: 'adaptive', display: 'summarized' } as const;
    expect((await client.messages.create({ ...asking('Why?'), thinking: summarized })).content).toMatchObject([
      { type: 'thinking', thinking: expect.stringMatching(/stand-in/) },
      { type: 'text' },
    ]);
    const deep = await client.messages.create({ ...asking('Why?'), output_config: { effort: 'max' } });
    expect(deep.usage.output_tokens_details).toEqual({ thinking_tokens: 128 });
    const off = await client.messages.create({ ...asking('Why?'), thinking: { type: 'between_tools' } });
    expect([off.content.length, off.usage.output_tokens_details?.thinking_tokens]).toEqual([1, 0]);
    expect((await client.messages.create(asking('nothing at all', 0))).content).toEqual([]);
  });

  it('is silent for a moment while it thinks, if its text takes time, too', async () => {
    const slow = await startModelStub({ port: 0, pieceDelayMs: 1 });
    try {
      const own = new Anthropic({ apiKey: 'any', baseURL: slow.url, maxRetries: 0 });
      let began = 0;
      for await (const event of await own.messages.create({ ...asking('Hm?'), stream: true })) {
        if (event.type === 'content_block_start') began ||= performance.now();
        if (event.type === 'content_block_delta') break;
      }
      expect(performance.now() - began).toBeGreaterThan(100);
    } finally {
      await slow.close();
    }
  });

  it('answers in the language of the question, in Markdown, and at length when asked to', async () => {
    const questions = [
      ['How do I pay?', '[Stand-in model] You asked: "How do I pay?".'],
      ['¿Cómo pago la factura?', '[Modelo de prueba] Has preguntado: «¿Cómo pago la factura?».'],
      ['Wie bezahle ich die Rechnung?', '[Testmodell] Du hast gefragt: „Wie bezahle ich die Rechnung?“.'],
      ['Comment payer ma facture ?', '[Modèle d’essai] Vous avez demandé : « Comment payer ma facture ? ».'],
      ['Como faço para pagar a minha fatura?', '[Modelo de teste] Você perguntou:'],
      ['Come posso pagare la fattura?', '[Modello di prova] Hai chiesto:'],
      ['怎么付款？', '[测试模型] 您的问题是：“怎么付款？”。'],
      ['どうやって払いますか', '[テスト用モデル] ご質問：「どうやって払いますか」。'],
      ['xyzzy 42', '[Stand-in model] You asked: "xyzzy 42".'],
    ] as const;
    for (const [question, beginning] of questions) {
      const text = textOf(await client.messages.create(asking(question, 4_000)));
      expect(text.slice(0, beginning.length)).toBe(beginning);
      expect(text).toMatch(/\n## .+\n\n- /);
      expect(text).toMatch(/ANTHROPIC_API_KEY/);
    }
    const steps = textOf(await client.messages.create(asking('¿Cómo reinstalo el software?')));
    expect(steps).toMatch(/^\[Modelo de prueba\] .*». Para reinstalar el software:\n\n1\. Guarda/);
    for (const question of ['Tell me in detail', 'Hazme una tabla', 'Erkläre es ausführlich']) {
      const long = textOf(await client.messages.create(asking(question, 4_000)));
      expect(long.length).toBeGreaterThan(3_000);
      expect(long).toMatch(/\n\| --- \| --- \|\n/);
      expect(long).toMatch(/\n```sh\n/);
    }
  });

  it('pauses a turn, and goes on when the turn comes back unchanged', async () => {
    const search = { type: 'server_tool_use', name: 'web_search', input: { query: 'x' } };
    const thought = { type: 'thinking', thinking: 'I must look.' };
    await stub.script('look it up', { blocks: [thought, search], stop_reason: 'pause_turn' }, 1);
    const found = { type: 'web_search_tool_result', content: [] };
    await stub.script('look it up', { blocks: [{ ...search }, found], stop_reason: 'pause_turn' }, 1);
    await stub.script('look it up', { text: 'Here it is.' });
    const question = asking('look it up');
    const first = await client.messages.stream(question).finalMessage();
    expect(first.stop_reason).toBe('pause_turn');
    const messages: Anthropic.MessageParam[] = [...question.messages, { role: 'assistant', content: first.content }];
    const [, use] = first.content as [unknown, Anthropic.ServerToolUseBlock];
    const changed = { ...use, input: { query: 'y' } };
    const again = [...question.messages, { role: 'assistant' as const, content: [first.content[0] as never, changed] }];
    await expect(client.messages.create({ ...question, messages: again })).rejects.toThrow(/prefill/);
    const second = await client.messages.stream({ ...question, messages }).finalMessage();
    expect(second.stop_reason).toBe('pause_turn');
    // Two consecutive messages of the assistant are one turn.
    messages.push({ role: 'assistant', content: second.content });
    const last = await client.messages.create({ ...question, messages });
    expect([last.stop_reason, textOf(last)]).toEqual(['end_turn', 'Here it is.']);
  });

  it('answers as scripted: the pieces, the stop reason, an error with its type and headers', async () => {
    await stub.script('in pieces', { pieces: ['a', 'b'], stop_reason: 'refusal' });
    expect(await client.messages.stream(asking('in pieces')).finalMessage()).toMatchObject({
      content: [{ type: 'text', text: 'ab' }],
      stop_reason: 'refusal',
    });
    await stub.script('busy', { status: 529, error_type: 'overloaded_error', headers: { 'retry-after': '7' } }, 1);
    const busy = await client.messages.create(asking('busy')).catch((error: unknown) => error as APIError);
    expect(busy).toBeInstanceOf(APIError);
    expect(busy).toMatchObject({ status: 529, error: { error: { type: 'overloaded_error' } } });
    expect((busy as APIError).headers?.get('retry-after')).toBe('7');
    // The script was for one call.
    expect(await client.messages.create(asking('busy'))).toMatchObject({ stop_reason: 'end_turn' });
  });

  it('refuses a script it does not know', async () => {
    await expect(stub.script('x', { delay: 5 })).rejects.toThrow(/delay is not known/);
  });
});
