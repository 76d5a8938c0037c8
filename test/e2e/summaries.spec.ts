import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import type { SeenCall } from '../support/model-stub.js';
import { LIMIT, movesIn, Outgrown, REPLY, smallAssistant, tokensOf } from '../support/outgrown.js';
import { continues, SUM_UP, sumsUp, textsOf } from '../support/prompts.js';
import { type Stack, tokenFor } from '../support/stack.js';

describe('a chat that outgrows its prompts', () => {
  let outgrown: Outgrown;
  let stack: Stack;
  beforeAll(async () => {
    const settings = { compaction: 'summary', effort: 'high' };
    const env = { MODEL_IDLE_SECONDS: '4', MODEL_TOTAL_SECONDS: '8' };
    outgrown = await Outgrown.start([smallAssistant('sums-up', settings)], env);
    ({ stack } = outgrown);
  });
  afterAll(() => outgrown.stop());

  describe('and has a summary in place of the oldest messages', () => {
    let calls: SeenCall[];
    let replies: SeenCall[];
    let chatId: string;
    let cat: Client;
    beforeAll(async () => {
      cat = stack.as('cat');
      chatId = (await cat.chat('sums-up')).id;
      // Before the script of the replies, whose words are in the summariser's prompt, too.
      await stack.model.script(SUM_UP, { usage: 'late' });
      calls = await outgrown.talk(cat, chatId, 'lasts', 60);
      await stack.model.clearScripts();
      replies = calls.filter((call) => !sumsUp(call));
    });

    it('gets it by a call of its own at each move, and by no other', () => {
      expect(calls.map(({ outcome }) => outcome)).not.toContain('too_long');
      expect(replies).toHaveLength(60);
      const moves = movesIn(replies);
      expect(moves.length).toBeGreaterThan(3);
      expect(calls.filter(sumsUp)).toHaveLength(moves.length);
      expect(Math.max(...replies.map(tokensOf))).toBeLessThanOrEqual(LIMIT);
    });

    it('the summary comes first, as a block of its own before the first message, and says what it is', () => {
      for (const { messages } of replies.slice(movesIn(replies)[0])) {
        expect(messages.map(({ role }) => role)).toEqual(messages.map((_, n) => (n % 2 === 0 ? 'user' : 'assistant')));
        const [summary, first] = messages[0]?.content as { text: string }[];
        expect(summary?.text).toMatch(/^This is a summary of the conversation so far/);
        expect(first?.text).toMatch(/^lasts \d+: /);
      }
    });

    it('keeps facts over all of its moves: each summary is made of the one before and of what falls out', () => {
      expect(textsOf(replies.at(-1) as SeenCall)[0]).toContain('the fact 0 of lasts');
      const summaries = calls.filter(sumsUp).map((call) => textsOf(call).join());
      expect(summaries[0]).not.toContain('earlier_summary');
      expect(summaries.slice(1).every((text) => text.includes('{"earlier_summary":"[Stand-in model] Summary.'))).toBe(
        true,
      );
      // What falls out is whole: each message is in one summary's prompt.
      const prompts = summaries.join('\n');
      const begins = Number(/lasts (\d+):/.exec(textsOf(replies.at(-1) as SeenCall)[1] ?? '')?.[1]);
      expect(begins).toBeGreaterThan(10);
      for (let n = 0; n < begins; n++) {
        expect(prompts.split(`{"role":"user","text":"lasts ${n}: `)).toHaveLength(2);
      }
      expect(prompts).toContain(`{"role":"assistant","text":${JSON.stringify(REPLY)}}`);
    });

    it('is made by the same model, with instructions of its own, no tools and no cache mark', () => {
      const [call] = calls.filter(sumsUp);
      expect(call).toMatchObject({ model: 'model-of-sums-up', max_tokens: 2_000, output_config: { effort: 'low' } });
      expect(JSON.stringify(call)).not.toContain('You are brief.');
      expect(JSON.stringify(call?.system)).not.toContain('ephemeral');
      expect([call?.tools, call?.cache_control]).toEqual([undefined, undefined]);
    });

    it('has entries of its own in the ledger, and is no part of the usage of replies', async () => {
      const { rows } = await stack.database.query(
        `SELECT c.*, m.input_tokens AS of_message FROM model_calls c JOIN messages m ON m.job_id = c.job_id
          WHERE m.chat_id = $1 AND c.purpose = 'summary' ORDER BY c.started_at`,
        [chatId],
      );
      const made = calls.filter(sumsUp);
      expect(rows).toHaveLength(made.length);
      rows.forEach((row, n) => {
        expect(row).toMatchObject({ step: 0, outcome: 'completed', message_id: made[n]?.id, first_text_ms: null });
        expect(row).toMatchObject({ input_tokens: tokensOf(made[n] as SeenCall), estimated: false });
      });
      const ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
      const { body } = await ops.get('/api/v1/admin/usage?group_by=assistant,purpose&user=cat');
      expect(body.data).toEqual([
        expect.objectContaining({
          assistant: 'sums-up',
          purpose: 'reply',
          calls: expect.objectContaining({ completed: 60 }),
        }),
        expect.objectContaining({
          assistant: 'sums-up',
          purpose: 'summary',
          calls: expect.objectContaining({ completed: made.length }),
        }),
      ]);
      const metrics = await (await fetch(new URL('/metrics', stack.workers[0]?.url))).text();
      expect(metrics).toContain(`rejoinder_summaries_total{assistant="sums-up",outcome="completed"} ${made.length}`);
    });

    it('is in the export of its user, and gone with its chat', async () => {
      const lines = async (): Promise<any[]> =>
        String((await cat.get('/api/v1/me/export')).body)
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
      const all = await lines();
      const exported = all.filter(({ type }) => type === 'summary').map(({ summary }) => summary);
      expect(exported).toHaveLength(calls.filter(sumsUp).length);
      expect(all.at(-1)).toMatchObject({ type: 'end', summaries: exported.length });
      expect(exported.at(-1)).toEqual({
        chat_id: chatId,
        until_seq: ((await outgrown.window(chatId)).window_from_seq ?? 0) - 1,
        content: expect.stringContaining('the fact 0 of lasts'),
        created_at: expect.any(String),
      });
      expect(exported.map(({ until_seq }) => until_seq)).toEqual(
        exported.map(({ until_seq }) => until_seq as number).sort((a, b) => a - b),
      );
      expect(JSON.stringify((await cat.get(`/api/v1/chats/${chatId}`)).body)).not.toContain('Summary');

      expect((await cat.request('DELETE', `/api/v1/chats/${chatId}`)).status).toBe(204);
      const { rows } = await stack.database.query('SELECT FROM summaries WHERE chat_id = $1', [chatId]);
      expect(rows).toEqual([]);
      expect((await lines()).map(({ type }) => type)).toEqual(['export', 'end']);
    });
  });

  it.each<[string, object]>([
    ['fails', { status: 500 }],
    ['is rejected', { status: 400, error_type: 'invalid_request_error', message: 'messages.0: no' }],
    ['is refused', { text: 'I', stop_reason: 'refusal' }],
    ['is empty', { empty_content: true }],
    ['has no room', { text: 'It is', stop_reason: 'max_tokens' }],
    ['is much too long', { text: 'on and on '.repeat(2_000) }],
    ['breaks off', { text: 'It is about', cut_after: 1 }],
    ['falls silent', { text: 'x', stall_after: 0 }],
    ['takes too long', { text: 'x', ping_after: 0 }],
  ])('a summary that %s only means that the messages are left out: the earlier one stays', async (what, script) => {
    const user = stack.as(`failing: ${what}`);
    const chatId = await outgrown.full(`failing: ${what}`, 'sums-up');
    await stack.model.script(`after what ${what}`, { text: 'fine' });
    await stack.model.script(SUM_UP, script, 1);
    const turn = await user.turn(chatId, `after what ${what}`);
    expect(turn.status).toBe(200);
    const [call] = (await stack.model.calls(`after what ${what}`)).filter((one) => !sumsUp(one));
    expect(textsOf(call as SeenCall)[0]).toContain('The user is called Zoe.');
    expect(call?.messages.length).toBeLessThan(25);
    expect(await ledgerOf(stack, turn.body.job_id)).toMatchObject([
      { attempt: 1, step: 0, outcome: 'failed' },
      { attempt: 1, step: 1, outcome: 'completed' },
    ]);
    const moved = await outgrown.window(chatId);
    expect(moved.window_from_seq).toBeGreaterThan(15);

    // The next turn begins in the same place, and asks for no other summary.
    await user.turn(chatId, `and after what ${what}`);
    const [next] = await stack.model.calls(`and after what ${what}`);
    expect(continues(next as SeenCall, call as SeenCall)).toBe(true);
    expect((await outgrown.window(chatId)).window_from_seq).toBe(moved.window_from_seq);
  });

  it('a summary whose prompt is too long is made of the newer half', async () => {
    const chatId = await outgrown.full('half', 'sums-up');
    await stack.model.script(
      SUM_UP,
      { status: 400, error_type: 'invalid_request_error', message: 'prompt is too long' },
      1,
    );
    expect((await stack.as('half').turn(chatId, 'of one half')).status).toBe(200);
    const [refused, made] = (await stack.model.allCalls()).filter(sumsUp).slice(-2);
    expect(textsOf(refused as SeenCall).join()).toContain('What about 3?');
    expect(textsOf(made as SeenCall).join()).not.toContain('What about 3?');
    expect(textsOf(made as SeenCall).join()).toContain('The user is called Zoe.');
  });
});
