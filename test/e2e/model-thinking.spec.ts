import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { collect, openStream, textOf } from '../support/events.js';
import { ledgerOf } from '../support/ledger.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { saidIn } from '../support/said.js';

describe('a model that thinks, searches and pauses', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1, workerEnv: { MODEL_IDLE_SECONDS: '2', MODEL_TOTAL_SECONDS: '20' } });
  });
  afterAll(() => stack.stop());

  const turn = async (who: string, text: string, script: object) => {
    const user = stack.as(who);
    const chat = await user.chat();
    await stack.model.script(text, script);
    const { status, body } = await user.turn(chat.id, text);
    return { status, body, calls: await stack.model.calls(text), lines: await ledgerOf(stack, body.job_id) };
  };

  it('without output for longer than the longest silence is called only once: each ping is a sign of life', async () => {
    const silent = { type: 'thinking', display: 'omitted', silent_ms: 5_000, ping_every_ms: 500, tokens: 900 };
    const { status, body, calls, lines } = await turn('ana', 'think hard', {
      blocks: [silent, { type: 'redacted_thinking' }, { type: 'text', text: 'It is 42.' }],
    });
    expect([status, body.assistant_message?.content]).toEqual([200, 'It is 42.']);
    expect([calls.length, lines.length]).toEqual([1, 1]);
    // Its thoughts are billed, although nobody saw them.
    expect(lines[0]?.output_tokens).toBeGreaterThan(900);
    expect(body.assistant_message.usage).not.toHaveProperty('estimated');
  });

  it('without a ping for that long is given up', async () => {
    const silent = { type: 'thinking', silent_ms: 60_000, ping_every_ms: 0 };
    const user = stack.as('abe');
    const chat = await user.chat();
    await stack.model.script('think in silence', { blocks: [silent, { type: 'text', text: 'x' }] }, 1);
    await stack.model.script('think in silence', { text: 'aloud' });
    const { body } = await user.turn(chat.id, 'think in silence');
    const lines = await ledgerOf(stack, body.job_id);
    expect(lines).toMatchObject([
      { outcome: 'failed', error_code: 'answer_broken', estimated: true },
      { outcome: 'completed' },
    ]);
    // It was billed while it thought: at an assumed fifty tokens a second.
    expect(lines[0]?.output_tokens).toBeGreaterThanOrEqual(100);
  });

  it('until its room is used up gives an incomplete reply that says why', async () => {
    const { status, body, calls } = await turn('bea', 'think for ever', {
      blocks: [{ type: 'thinking', tokens: 16_000 }],
      stop_reason: 'max_tokens',
    });
    expect([status, calls.length]).toEqual([200, 1]);
    expect(body.assistant_message).toMatchObject({ content: '', status: 'incomplete', stop_reason: 'max_tokens' });
  });

  const say = (text: string, more: object = {}): object => ({ type: 'text', pieces: [text], ...more });
  const search = { type: 'server_tool_use', name: 'web_search', input: { query: 'the answer' } };

  it.each<[what: string, blocks: object[], expected: string]>([
    ['text that comes with its block', [say('It is ', { in_start: true }), say('42.')], 'It is 42.'],
    [
      'sentences around a search',
      [say('I will search for it.'), search, say('It is 42.')],
      'I will search for it.\n\nIt is 42.',
    ],
    ['white space before it', [say('I will search.\n'), search, say('It is 42.')], 'I will search.\nIt is 42.'],
    ['white space after it', [say('I will search.'), search, say(' It is 42.')], 'I will search. It is 42.'],
    ['thoughts before any text', [{ type: 'thinking' }, say('It is 42.')], 'It is 42.'],
    [
      'a sentence in several blocks, with sources',
      [say('It is '), say('42', { citations: [{ type: 'char_location', cited_text: '42' }] }), say(', they say.')],
      'It is 42, they say.',
    ],
    ['a block of a kind that is new', [say('a'), { type: 'raw', block: { type: 'hologram' } }, say('b')], 'a\n\nb'],
  ])('is read with %s, and streamed as it is stored', async (what, blocks, expected) => {
    const user = stack.as(what);
    const chat = await user.chat();
    await stack.model.script(what, { blocks });
    const path = `/api/v1/chats/${chat.id}/turns`;
    const events = await collect(
      await openStream(stack.api.url, tokenFor(what), path, { body: { user_message: what } }),
    );
    const { assistant_message: message } = events.at(-1)?.data as { assistant_message: { content: string } };
    expect([textOf(events), message.content]).toEqual([expected, expected]);
  });

  it('that pauses is continued with its exact output so far, and both parts are one reply, each with an entry of the ledger', async () => {
    const user = stack.as('cem');
    const chat = await user.chat();
    const thinking = { type: 'thinking', tokens: 20 };
    await stack.model.script(
      'search long',
      { blocks: [thinking, say('Searching.'), search], stop_reason: 'pause_turn' },
      1,
    );
    await stack.model.script('search long', {
      blocks: [
        { type: 'web_search_tool_result', content: [] },
        // It takes time, as any answer may.
        { type: 'thinking', silent_ms: 3_000, ping_every_ms: 500 },
        say('It is 42.'),
      ],
    });
    const { status, body } = await user.turn(chat.id, 'search long');
    expect([status, body.assistant_message?.content]).toEqual([200, 'Searching.\n\nIt is 42.']);
    const calls = (await stack.model.allCalls()).filter(({ asked }) => asked === 'search long');
    expect(calls.map(({ outcome, continues }) => [outcome, continues])).toEqual([
      ['completed', false],
      ['completed', true],
    ]);
    const entries = await ledgerOf(stack, body.job_id);
    const billed = calls.map(({ id, billed }, n) => {
      const { cache_read_input_tokens: read, cache_write_5m_input_tokens: written } = billed;
      const input_tokens = billed.input_tokens + read + written;
      const { output_tokens } = billed;
      const cached = { cache_read_tokens: read, cache_write_5m_tokens: written };
      return { attempt: 1, step: n + 1, message_id: id, input_tokens, output_tokens, ...cached };
    });
    expect(entries).toMatchObject(billed);
    const sum = (field: 'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'cache_write_5m_tokens'): number =>
      billed.reduce((total, entry) => total + entry[field], 0);
    expect(body.assistant_message.usage).toEqual({
      input_tokens: sum('input_tokens'),
      output_tokens: sum('output_tokens'),
      cache_read_tokens: sum('cache_read_tokens'),
      cache_write_tokens: sum('cache_write_5m_tokens'),
      thinking_tokens: entries.reduce((total, { thinking_tokens: thought }) => total + (thought ?? 0), 0),
    });
    // The next turn has only the text.
    await user.turn(chat.id, 'thanks');
    const [next] = await stack.model.calls('thanks');
    expect(saidIn(next).map(({ content }) => content)).toEqual(['search long', 'Searching.\n\nIt is 42.', 'thanks']);
  });
});
