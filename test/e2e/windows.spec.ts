import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import { lengthen } from '../support/long-chat.js';
import type { SeenCall } from '../support/model-stub.js';
import { blocksOf, continues, SUM_UP, sumsUp, textsOf } from '../support/prompts.js';
import { rowsRead } from '../support/rows-read.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { clientTool } from '../support/tools.js';
import { until } from '../support/until.js';

/** Most tokens of a prompt of these assistants. The stand-in counts a token for four characters. */
const LIMIT = 3_000;

/** A reply of about a hundred tokens. */
const REPLY = 'An answer of some length. '.repeat(16);

const define = (slug: string, settings: object = {}): object => ({
  slug,
  name: slug,
  description: slug,
  system_prompt: 'You are brief.',
  welcome_message: 'Hello',
  model: `model-of-${slug}`,
  context_tokens: LIMIT,
  max_output_tokens: 1_000,
  ...settings,
});

describe('a chat that outgrows its prompts', () => {
  let stack: Stack;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rejoinder-test-'));
    const file = join(folder, 'assistants.yaml');
    const assistants = [
      define('truncates'),
      define('sums-up', { compaction: 'summary', effort: 'high' }),
      define('small-model', { context_tokens: 150_000 }),
      define('with-tools', { tools: [clientTool('read_page', { approval: undefined })] }),
    ];
    await writeFile(file, JSON.stringify({ assistants }));
    stack = await startStack({ env: { ASSISTANTS_FILE: file, MODEL_IDLE_SECONDS: '4', MODEL_TOTAL_SECONDS: '8' } });
  });
  afterAll(async () => {
    await stack.stop();
    await rm(folder, { recursive: true });
  });

  /** Sends turns of about fifty tokens, and returns their calls, refused ones and summaries included. */
  const talk = async (client: Client, chatId: string, mark: string, count: number): Promise<SeenCall[]> => {
    await stack.model.script(`${mark} `, { text: REPLY });
    const before = (await stack.model.allCalls()).length;
    for (let n = 0; n < count; n++) {
      const turn = await client.turn(chatId, `${mark} ${n}: ${`the fact ${n} of ${mark}. `.repeat(8)}`);
      expect([n, turn.status]).toEqual([n, 200]);
    }
    return (await stack.model.allCalls()).slice(before);
  };
  const chatRow = async (id: string): Promise<{ window_from_seq: number | null; context_tokens: number | null }> =>
    (await stack.database.query('SELECT window_from_seq, context_tokens FROM chats WHERE id = $1', [id])).rows[0];
  const tokensOf = ({ billed }: SeenCall): number =>
    billed.input_tokens + billed.cache_read_input_tokens + billed.cache_write_5m_input_tokens;
  /** Where the calls do not begin with the bytes of the one before. */
  const movesIn = (calls: readonly SeenCall[]): number[] =>
    calls.flatMap((call, n) => {
      const before = calls[n - 1];
      return before === undefined || continues(call, before) ? [] : [n];
    });

  describe('and leaves the oldest messages out', () => {
    let calls: SeenCall[];
    let chatId: string;
    beforeAll(async () => {
      const ana = stack.as('ana');
      chatId = (await ana.chat('truncates')).id;
      calls = await talk(ana, chatId, 'grows', 80);
    });

    it('fits at each turn, without a single refusal', () => {
      expect(calls.map(({ outcome }) => outcome)).toEqual(Array(80).fill('completed'));
      expect(Math.max(...calls.map(tokensOf))).toBeLessThanOrEqual(LIMIT);
    });

    it('begins with the bytes of the prompt before, except where it moves: rarely, and far', () => {
      const moves = movesIn(calls);
      expect(moves.length).toBeGreaterThan(4);
      expect(moves.length).toBeLessThan(12);
      moves.forEach((at) => {
        const [before, after] = [calls[at - 1], calls[at]];
        if (before === undefined || after === undefined) throw new Error('There is no call.');
        expect(tokensOf(after)).toBeLessThan(LIMIT * 0.55);
        expect(tokensOf(before)).toBeGreaterThan(LIMIT * 0.65);
        // It begins with a turn, and nothing after its beginning has changed.
        expect(after.messages[0]).toMatchObject({ role: 'user', content: expect.stringContaining('grows') });
        const [instructions, ...blocks] = blocksOf(after);
        expect(blocksOf(before)[0]).toBe(instructions);
        expect(blocksOf(before).join('\n')).toContain(blocks.slice(0, 4).join('\n'));
      });
    });

    it('remembers where it begins, and what the model counted last', async () => {
      const last = calls.at(-1);
      if (last === undefined) throw new Error('There is no call.');
      const { window_from_seq, context_tokens } = await chatRow(chatId);
      const { rows } = await stack.database.query('SELECT content FROM messages WHERE chat_id = $1 AND seq = $2', [
        chatId,
        window_from_seq,
      ]);
      expect(last.messages[0]?.content).toBe(rows[0].content);
      expect(context_tokens).toBe(tokensOf(last) + last.output_tokens);
    });
  });

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
      calls = await talk(cat, chatId, 'lasts', 60);
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
      expect(call?.tools).toBeUndefined();
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
        until_seq: ((await chatRow(chatId)).window_from_seq ?? 0) - 1,
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

  /** A chat whose next turn moves its window, with an earlier summary. */
  const full = async (user: string, assistant = 'sums-up'): Promise<string> => {
    const { id } = await stack.as(user).chat(assistant);
    await lengthen(stack.database, id, 20, false);
    await stack.database.query(`UPDATE messages SET content = content || repeat(' word', 60) WHERE chat_id = $1`, [id]);
    await stack.database.query('UPDATE chats SET context_tokens = $2, window_from_seq = 4 WHERE id = $1', [
      id,
      LIMIT - 1,
    ]);
    await stack.database.query(
      `INSERT INTO summaries (chat_id, until_seq, content, model) VALUES ($1, 3, 'The user is called Zoe.', 'm')`,
      [id],
    );
    return id;
  };

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
    const chatId = await full(`failing: ${what}`);
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
    const moved = await chatRow(chatId);
    expect(moved.window_from_seq).toBeGreaterThan(15);

    // The next turn begins in the same place, and asks for no other summary.
    await user.turn(chatId, `and after what ${what}`);
    const [next] = await stack.model.calls(`and after what ${what}`);
    expect(continues(next as SeenCall, call as SeenCall)).toBe(true);
    expect((await chatRow(chatId)).window_from_seq).toBe(moved.window_from_seq);
  });

  it('a summary whose prompt is too long is made of the newer half', async () => {
    const chatId = await full('half');
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

  it('behind a model with a smaller context it is refused once, and then stays within what the model has named', async () => {
    await stack.model.models('model-of-small-model', { max_input_tokens: 2_000 });
    const dan = stack.as('dan');
    const { id } = await dan.chat('small-model');
    const calls = await talk(dan, id, 'outgrows', 60);
    expect(calls.filter(({ outcome }) => outcome === 'too_long')).toHaveLength(1);
    expect(calls.filter(({ outcome }) => outcome === 'completed')).toHaveLength(60);
    const moves = movesIn(calls.filter(({ outcome }) => outcome === 'completed'));
    expect(moves.length).toBeLessThan(15);

    // A message that is too long by itself fails, and spoils nothing.
    const alone = await dan.turn(id, `alone ${'word '.repeat(3_000)}`);
    expect([alone.status, (await dan.finalJob(alone.body.job_id)).error?.code]).toEqual([502, 'message_too_long']);
    expect(await talk(dan, id, 'goes on', 3)).toHaveLength(3);
    await stack.model.models();
  });

  it('a turn that its tools make too long fails, and the next one goes on with less', async () => {
    const eva = stack.as('eva');
    const { id } = await eva.chat('with-tools');
    await talk(eva, id, 'before the tools', 5);
    await stack.model.models('model-of-with-tools', { max_input_tokens: 4_000 });
    const { body } = await eva.turn(id, 'use read_page');
    const [call] = body.required_action.tool_calls;
    const path = `/api/v1/jobs/${body.id}/tool-calls/${call.id}`;
    expect((await eva.patch(path, { result: { content: 'much text '.repeat(2_000) } })).status).toBe(200);
    expect(await eva.finalJob(body.id)).toMatchObject({ status: 'failed', error: { code: 'context_exceeded' } });
    const calls = await talk(eva, id, 'after the tools', 3);
    expect(calls.map(({ outcome }) => outcome)).toEqual(['completed', 'completed', 'completed']);
    expect(JSON.stringify(calls)).not.toContain('much text');
    await stack.model.models();
  });

  it('all steps of a turn have the messages of the first', async () => {
    const fay = stack.as('fay');
    const { id } = await fay.chat('with-tools');
    await talk(fay, id, 'up to the tools', 15);
    const { body } = await fay.turn(id, 'use read_page');
    const [call] = body.required_action.tool_calls;
    await fay.patch(`/api/v1/jobs/${body.id}/tool-calls/${call.id}`, { result: { content: 'a page. '.repeat(300) } });
    expect(await fay.finalJob(body.id)).toMatchObject({ status: 'succeeded' });
    const [first, second] = (await stack.model.allCalls()).slice(-2);
    expect(continues(second as SeenCall, first as SeenCall)).toBe(true);
    // The step was counted with the result, so the next turn begins later.
    const { context_tokens } = await chatRow(id);
    const thought = (await ledgerOf(stack, body.id)).reduce(
      (sum, { thinking_tokens: tokens }) => sum + (tokens ?? 0),
      0,
    );
    expect(thought).toBeGreaterThan(0);
    expect(context_tokens).toBe(tokensOf(second as SeenCall) + (second?.output_tokens ?? 0) - thought);
    const [next] = await talk(fay, id, 'behind the tools', 1);
    expect(continues(next as SeenCall, second as SeenCall)).toBe(false);
  });

  it.each(['truncates', 'sums-up'])('of ten thousand turns, its turns cost what a turn costs: %s', async (slug) => {
    const user = `long ${slug}`;
    const client = stack.as(user);
    const { id } = await client.chat(slug);
    await lengthen(stack.database, id, 10_000);
    await stack.model.script('in the long run', { text: REPLY });
    const read = (text: string) =>
      rowsRead(stack.database, ['messages'], async () => {
        expect((await client.turn(id, text)).status).toBe(200);
      });
    // The chat is as old as the column, so all that a claim may read is read once.
    const first = await read(`in the long run ${slug}, first`);
    expect(first['messages']).toBeLessThan(1_100);
    const calls = async (text: string) => (await stack.model.calls(text)).filter((call) => !sumsUp(call));
    const [before] = await calls(`in the long run ${slug}, first`);
    expect(before?.messages.length).toBeLessThanOrEqual(150);
    for (let n = 0; n < 3; n++) {
      const rows = await read(`in the long run ${slug}, ${n}.`);
      expect(rows['messages']).toBeLessThan(400);
    }
    const [after] = await calls(`in the long run ${slug}, 2.`);
    expect(continues(after as SeenCall, before as SeenCall)).toBe(true);
    expect(after?.messages.length).toBe((before?.messages.length ?? 0) + 6);
    if (slug === 'sums-up') expect(textsOf(after as SeenCall)[0]).toContain('Summary.');
  });

  /** Until the worker has saved text of a reply. */
  const saved = (jobId: string): Promise<unknown> =>
    until(async () => {
      const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [jobId]);
      return rows[0].draft !== '';
    }, 'a draft');

  it('stays where it was moved by a turn that is canceled or refused', async () => {
    const hal = stack.as('hal');
    const canceled = await full('hal', 'truncates');
    await stack.model.script('breaks it off', { pieces: [REPLY, 'more'], stall_after: 1 });
    const job = await hal.turnAsync(canceled, 'breaks it off');
    await saved(job.id);
    await hal.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
    expect((await hal.finalJob(job.id)).assistant_message?.content).toBe(REPLY);
    const [cut] = await stack.model.calls('breaks it off');
    await hal.turn(canceled, 'and after the cancel?');
    const [next] = await stack.model.calls('and after the cancel?');
    expect(cut?.messages.length).toBeLessThan(30);
    expect(continues(next as SeenCall, cut as SeenCall)).toBe(true);

    const refused = await full('ian', 'truncates');
    await stack.model.script('must not be', { text: 'No.', stop_reason: 'refusal' });
    expect((await stack.as('ian').turn(refused, 'must not be')).status).toBe(200);
    const [no] = await stack.model.calls('must not be');
    expect((await chatRow(refused)).context_tokens).toBe(tokensOf(no as SeenCall));
    await stack.as('ian').turn(refused, 'and after the refusal?');
    const [after] = await stack.model.calls('and after the refusal?');
    expect(after?.messages.slice(0, -1)).toEqual(no?.messages.slice(0, -1));
  });

  it('counts what is new since the last reply, whatever became of the turns in between', async () => {
    const gil = stack.as('gil');
    const { id } = await gil.chat('truncates');
    const counted = async () => (await chatRow(id)).context_tokens ?? 0;
    const [call] = await talk(gil, id, 'counts', 1);
    expect(await counted()).toBe(tokensOf(call as SeenCall) + (call?.output_tokens ?? 0));

    const after = await counted();
    await stack.model.script('comes to nothing', { status: 400, error_type: 'invalid_request_error' });
    await gil.turn(id, 'comes to nothing');
    await stack.model.script('is refused', { text: 'I will', stop_reason: 'refusal' });
    await gil.turn(id, 'is refused');
    expect(await counted()).toBe(after);

    await stack.model.script('is left', { pieces: [REPLY, 'more'], stall_after: 1 });
    const job = await gil.turnAsync(id, 'is left');
    await saved(job.id);
    await gil.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
    const cut = (await stack.model.calls('is left')).at(-1);
    expect(await counted()).toBeGreaterThan(tokensOf(cut as SeenCall) + REPLY.length / 4);
    expect(await counted()).toBeLessThan(tokensOf(cut as SeenCall) + REPLY.length);
    await talk(gil, id, 'counts again', 1);
    expect(await counted()).toBeGreaterThan(after);

    await stack.model.script('says nothing of tokens', { text: 'fine', usage: 'none' });
    await gil.turn(id, 'says nothing of tokens');
    expect((await chatRow(id)).context_tokens).toBeNull();
    await talk(gil, id, 'and again', 1);
    expect(await counted()).toBeGreaterThan(after);
  });
});
