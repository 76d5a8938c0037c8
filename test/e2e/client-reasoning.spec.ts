import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type JobEvent, Rejoinder, type RejoinderOptions } from '@rejoinder/client';
import { all, answered, end, event, stream } from '../support/answered-client.js';
import { BadLine, type Fault } from '../support/bad-line.js';
import { said, showReasoning, thoughts, words } from '../support/reasoning.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

const CITED = { type: 'web_search_result_location', url: 'https://a.test/one', title: 'One' };

describe('the client, with reasoning and sources', () => {
  let stack: Stack;
  const lines: BadLine[] = [];
  beforeAll(async () => {
    stack = await startStack();
    await showReasoning(stack, 'support');
  });
  afterAll(async () => {
    lines.forEach((line) => line.close());
    await stack.stop();
  });

  const as = (user: string, options: Partial<RejoinderOptions> = {}): Rejoinder =>
    new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user), onRetry: () => undefined, ...options });
  const badLine = async (faultOf: (n: number) => Fault | undefined): Promise<Partial<RejoinderOptions>> => {
    const line = await BadLine.to(stack.api.url, faultOf);
    lines.push(line);
    return {
      baseUrl: line.url,
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init?.headers, connection: 'close' } }),
    };
  };
  const piecesOf = (events: readonly JobEvent[], type: 'reasoning' | 'delta') =>
    events.flatMap((one) => (one.type === type ? [one] : []));

  it('gives each piece and each source once, in order, on a line that breaks again and again', async () => {
    const thought = words(120);
    await stack.model.script('hunted', {
      blocks: [thoughts(thought, 30), { ...said('It is 42.'), citations: [CITED] }, said(' So they say.')],
      piece_delay_ms: 30,
    });
    const { id } = await as('ana').openChat('support');
    const bad = as('ana', await badLine((n) => (n < 8 ? { cutAfter: 1_500 + n * 311 } : undefined)));
    const turn = bad.streamTurn(id, 'hunted');
    const events = await all(turn);
    for (const [type, whole] of [
      ['reasoning', thought],
      ['delta', 'It is 42. So they say.'],
    ] as const) {
      const pieces = piecesOf(events, type);
      expect(pieces.map(({ text }) => text).join('')).toBe(whole);
      expect(pieces.map(({ offset }) => offset)).toEqual(
        pieces.map((_, n) => pieces.slice(0, n).reduce((sum, { text }) => sum + text.length, 0)),
      );
    }
    expect(piecesOf(events, 'reasoning').length).toBeGreaterThan(3);
    const source = { type: 'source', url: CITED.url, title: 'One' };
    expect(events.flatMap((one) => (one.type === 'source' ? [one.source] : []))).toEqual([source]);
    expect([turn.reasoning, turn.text, turn.sources]).toEqual([thought, 'It is 42. So they say.', [source]]);
    expect(turn.message?.parts?.[0]).toEqual({ type: 'reasoning', text: thought });
    // A reader that goes on after an event gets the text after it, and all of the reasoning.
    const later = as('ana').followJob(turn.jobId ?? '', { lastEventId: '1.3' });
    await later.reply();
    expect([later.reasoning, later.sources]).toEqual([thought, [source]]);
  });

  const reasoning = (attempt: number, offset: number, text: string): string =>
    event('reasoning', `${attempt}.0`, { offset, reasoning: text });
  const source = (attempt: number, url: string): string =>
    event('source', `${attempt}.0`, { type: 'source', url, title: null });
  const reset = (attempt: number, more: object): string =>
    event('reset', `${attempt}.0`, { attempt, offset: 0, ...more });

  it('shortens a piece that overlaps, and asks again if one is missing', async () => {
    const { client, asked } = answered((n) =>
      n === 0
        ? stream(reasoning(1, 0, 'abc') + reasoning(1, 1, 'bcd') + reasoning(1, 9, 'x'))
        : stream(reasoning(1, 0, 'abcdef') + source(1, 's') + source(1, 's') + end),
    );
    const job = client.followJob('j');
    expect(piecesOf(await all(job), 'reasoning')).toEqual([
      { type: 'reasoning', offset: 0, text: 'abc' },
      { type: 'reasoning', offset: 3, text: 'd' },
      { type: 'reasoning', offset: 4, text: 'ef' },
    ]);
    expect([asked.length, job.reasoning, job.sources.length]).toEqual([2, 'abcdef', 1]);
  });

  it('forgets what a lost attempt has thought and cited, also if the service is older and names no offset', async () => {
    for (const [more, kept] of [
      [{ reasoning_offset: 3 }, 'abc'],
      [{}, ''],
    ] as const) {
      const { client } = answered(() =>
        stream(
          reasoning(1, 0, 'abcdef') +
            source(1, 's') +
            source(1, 't') +
            reset(2, more) +
            source(2, 's') +
            reasoning(2, kept.length, 'new') +
            end,
        ),
      );
      const job = client.followJob('j');
      const events = await all(job);
      expect(events).toContainEqual({ type: 'reset', attempt: 2, offset: 0, reasoningOffset: kept.length });
      expect([job.reasoning, job.sources.map(({ url }) => url)]).toEqual([`${kept}new`, ['s']]);
    }
  });

  it('takes events that break the contract for those of a stranger', async () => {
    for (const data of [
      { offset: -1, reasoning: 'x' },
      { offset: 0, text: 'x' },
      { url: 5, title: null },
      { url: 'x' },
    ]) {
      const name = 'url' in data ? 'source' : 'reasoning';
      const { client } = answered(() => stream(event(name, '1.0', data)), { reconnectForMs: 1 });
      await expect(all(client.followJob('j'))).rejects.toMatchObject({ name: 'ConnectionError' });
    }
  });

  it('has the reasoning and the sources of the message as it is kept', async () => {
    const message = {
      content: 'kept',
      parts: [
        { type: 'reasoning', text: 'abc' },
        { type: 'text', text: 'kept' },
      ],
    };
    const { client } = answered(() =>
      stream(reasoning(1, 0, 'abcdef') + source(1, 's') + event('message', '1.0', message) + end),
    );
    const job = client.followJob('j');
    await job.reply();
    expect([job.reasoning, job.sources, job.text]).toEqual(['abc', [], 'kept']);
  });
});
