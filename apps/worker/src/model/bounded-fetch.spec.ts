import { describe, expect, it } from '@jest/globals';
import Anthropic from '@anthropic-ai/sdk';
import { boundedFetch } from './bounded-fetch.js';

const TOO_LONG = { code: 'model_rejected', most: 1, message: 'The model’s answer is too long.' };

/** An answer that never ends, and how much of it was read, in bytes. */
function endless(chunk: string, status = 200): { fetch: typeof fetch; read: () => number; left: () => boolean } {
  const bytes = new TextEncoder().encode(chunk);
  let [read, left] = [0, false];
  const body = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      pull: (controller) => {
        read += bytes.length;
        controller.enqueue(bytes);
      },
      cancel: () => void (left = true),
    });
  const answer = async (): Promise<Response> =>
    new Response(body(), { status, headers: { 'content-type': 'text/event-stream' } });
  return { fetch: answer, read: () => read, left: () => left };
}

const ask = async (fetch: typeof globalThis.fetch): Promise<number> => {
  const client = new Anthropic({ apiKey: 'x', maxRetries: 0, logLevel: 'off', fetch });
  const stream = await client.messages.create({ model: 'm', max_tokens: 1, messages: [], stream: true });
  let events = 0;
  for await (const _ of stream) events += 1;
  return events;
};

describe('an answer of the model that does not end', () => {
  const LARGEST = { answer: 1_000_000, refusal: 1_000 };

  it.each([
    ['a line', 'data: '.repeat(100)],
    ['an event', 'data: {}\n'.repeat(100)],
    ['events that are not text', 'event: content_block_delta\ndata: {"delta":{"type":"thinking_delta"}}\n\n'],
    ['comments', ': nothing\n\n'.repeat(50)],
  ])('though it is %s, is read so far and no further', async (_, chunk) => {
    const answer = endless(chunk);
    await expect(ask(boundedFetch(answer.fetch, LARGEST))).rejects.toMatchObject(TOO_LONG);
    expect([answer.read() < 1.1 * LARGEST.answer, answer.left()]).toEqual([true, true]);
  });

  it('as a refusal is read less far, and is a refusal', async () => {
    const answer = endless('no', 403);
    await expect(ask(boundedFetch(answer.fetch, LARGEST))).rejects.toMatchObject({ status: 403 });
    expect([answer.read() < 2 * LARGEST.refusal, answer.left()]).toEqual([true, true]);
  });

  it('is another thing than one that is as long as it may be', async () => {
    const text = 'event: x\ndata: {}\n\n'.repeat(10);
    const fetch = async (): Promise<Response> => new Response(text);
    expect(await ask(boundedFetch(fetch, { ...LARGEST, answer: text.length }))).toBe(10);
  });
});
