import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ModelStub } from '../support/model-stub.js';

/** What a test or a developer without a key relies on, asked through the very SDK the worker uses. */
describe('the stand-in model', () => {
  let stub: ModelStub;
  let client: Anthropic;
  beforeAll(async () => {
    stub = await ModelStub.start();
    client = new Anthropic({ apiKey: 'any', baseURL: stub.url, maxRetries: 0 });
  });
  afterAll(() => stub.stop());

  const asking = (content: string, max_tokens = 500): Anthropic.MessageCreateParamsNonStreaming => ({
    model: 'claude-test',
    max_tokens,
    messages: [{ role: 'user', content }],
  });
  const textOf = (message: Anthropic.Message): string =>
    message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');

  it('says the same whole or streamed, with its usage and a stop reason, and that it is a stand-in', async () => {
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
        model: 'claude-test',
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
    // Once was asked for.
    expect(await client.messages.create(asking('busy'))).toMatchObject({ stop_reason: 'end_turn' });
  });

  it('refuses what the Messages API refuses, and a script it does not know', async () => {
    const refused = (request: Partial<Anthropic.MessageCreateParamsNonStreaming>): Promise<unknown> =>
      client.messages.create({ ...asking('x'), ...request }).catch((error: unknown) => (error as APIError).status);
    expect(await refused({ messages: [] })).toBe(400);
    expect(await refused({ messages: [{ role: 'assistant', content: 'first' }] })).toBe(400);
    expect(await refused({ messages: [{ role: 'user', content: ' ' }] })).toBe(400);
    expect(await refused({ max_tokens: 0 })).toBe(400);
    const keyless = await fetch(`${stub.url}/v1/messages`, { method: 'POST', body: '{}' });
    expect(keyless.status).toBe(401);
    await expect(stub.script('x', { delay: 5 })).rejects.toThrow(/delay is not known/);
  });
});
