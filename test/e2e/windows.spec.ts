import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerOf } from '../support/ledger.js';
import { lengthen } from '../support/long-chat.js';
import type { SeenCall } from '../support/model-stub.js';
import { LIMIT, movesIn, Outgrown, REPLY, smallAssistant, tokensOf } from '../support/outgrown.js';
import { blocksOf, continues, sumsUp, textsOf } from '../support/prompts.js';
import { rowsRead } from '../support/rows-read.js';
import type { Stack } from '../support/stack.js';
import { clientTool } from '../support/tools.js';
import { until } from '../support/until.js';

describe('a chat that outgrows its prompts', () => {
  let outgrown: Outgrown;
  let stack: Stack;
  beforeAll(async () => {
    outgrown = await Outgrown.start([
      smallAssistant('truncates'),
      smallAssistant('sums-up', { compaction: 'summary' }),
      smallAssistant('small-model', { context_tokens: 150_000 }),
      smallAssistant('with-tools', { tools: [clientTool('read_page', { approval: undefined })] }),
      smallAssistant('changes'),
    ]);
    ({ stack } = outgrown);
  });
  afterAll(() => outgrown.stop());

  describe('and leaves the oldest messages out', () => {
    let calls: SeenCall[];
    let chatId: string;
    beforeAll(async () => {
      const ana = stack.as('ana');
      chatId = (await ana.chat('truncates')).id;
      calls = await outgrown.talk(ana, chatId, 'grows', 80);
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
      const { window_from_seq, context_tokens } = await outgrown.window(chatId);
      const { rows } = await stack.database.query('SELECT content FROM messages WHERE chat_id = $1 AND seq = $2', [
        chatId,
        window_from_seq,
      ]);
      expect(last.messages[0]?.content).toBe(rows[0].content);
      expect(context_tokens).toBe(tokensOf(last) + last.output_tokens);
    });
  });

  it('behind a model with a smaller context it is refused once, and then stays within what the model has named', async () => {
    await stack.model.models('model-of-small-model', { max_input_tokens: 2_000 });
    const dan = stack.as('dan');
    const { id } = await dan.chat('small-model');
    const calls = await outgrown.talk(dan, id, 'outgrows', 60);
    expect(calls.filter(({ outcome }) => outcome === 'too_long')).toHaveLength(1);
    expect(calls.filter(({ outcome }) => outcome === 'completed')).toHaveLength(60);
    const moves = movesIn(calls.filter(({ outcome }) => outcome === 'completed'));
    expect(moves.length).toBeLessThan(15);

    // A message that is too long by itself fails, and spoils nothing.
    const alone = await dan.turn(id, `alone ${'word '.repeat(3_000)}`);
    expect([alone.status, (await dan.finalJob(alone.body.job_id)).error?.code]).toEqual([502, 'message_too_long']);
    expect(await outgrown.talk(dan, id, 'goes on', 3)).toHaveLength(3);
    await stack.model.models();
  });

  it('a turn that its tools make too long fails, and the next one goes on with less', async () => {
    const eva = stack.as('eva');
    const { id } = await eva.chat('with-tools');
    await outgrown.talk(eva, id, 'before the tools', 5);
    await stack.model.models('model-of-with-tools', { max_input_tokens: 4_000 });
    const { body } = await eva.turn(id, 'use read_page');
    const [call] = body.required_action.tool_calls;
    const path = `/api/v1/jobs/${body.id}/tool-calls/${call.id}`;
    expect((await eva.patch(path, { result: { content: 'much text '.repeat(2_000) } })).status).toBe(200);
    expect(await eva.finalJob(body.id)).toMatchObject({ status: 'failed', error: { code: 'context_exceeded' } });
    const calls = await outgrown.talk(eva, id, 'after the tools', 3);
    expect(calls.map(({ outcome }) => outcome)).toEqual(['completed', 'completed', 'completed']);
    expect(JSON.stringify(calls)).not.toContain('much text');
    await stack.model.models();
  });

  it('all steps of a turn have the messages of the first', async () => {
    const fay = stack.as('fay');
    const { id } = await fay.chat('with-tools');
    await outgrown.talk(fay, id, 'up to the tools', 15);
    const { body } = await fay.turn(id, 'use read_page');
    const [call] = body.required_action.tool_calls;
    await fay.patch(`/api/v1/jobs/${body.id}/tool-calls/${call.id}`, { result: { content: 'a page. '.repeat(300) } });
    expect(await fay.finalJob(body.id)).toMatchObject({ status: 'succeeded' });
    const [first, second] = (await stack.model.allCalls()).slice(-2);
    expect(continues(second as SeenCall, first as SeenCall)).toBe(true);
    // The step was counted with the result, so the next turn begins later.
    const { context_tokens } = await outgrown.window(id);
    const thought = (await ledgerOf(stack, body.id)).reduce(
      (sum, { thinking_tokens: tokens }) => sum + (tokens ?? 0),
      0,
    );
    expect(thought).toBeGreaterThan(0);
    expect(context_tokens).toBe(tokensOf(second as SeenCall) + (second?.output_tokens ?? 0) - thought);
    const [next] = await outgrown.talk(fay, id, 'behind the tools', 1);
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
    const canceled = await outgrown.full('hal', 'truncates');
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

    const refused = await outgrown.full('ian', 'truncates');
    await stack.model.script('must not be', { text: 'No.', stop_reason: 'refusal' });
    expect((await stack.as('ian').turn(refused, 'must not be')).status).toBe(200);
    const [no] = await stack.model.calls('must not be');
    expect((await outgrown.window(refused)).context_tokens).toBe(tokensOf(no as SeenCall));
    await stack.as('ian').turn(refused, 'and after the refusal?');
    const [after] = await stack.model.calls('and after the refusal?');
    expect(after?.messages.slice(0, -1)).toEqual(no?.messages.slice(0, -1));
  });

  it('counts what is new since the last reply, whatever became of the turns in between', async () => {
    const gil = stack.as('gil');
    const { id } = await gil.chat('truncates');
    const counted = async () => (await outgrown.window(id)).context_tokens ?? 0;
    const [call] = await outgrown.talk(gil, id, 'counts', 1);
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
    await outgrown.talk(gil, id, 'counts again', 1);
    expect(await counted()).toBeGreaterThan(after);

    await stack.model.script('says nothing of tokens', { text: 'fine', usage: 'none' });
    await gil.turn(id, 'says nothing of tokens');
    expect((await outgrown.window(id)).context_tokens).toBeNull();
    await outgrown.talk(gil, id, 'and again', 1);
    expect(await counted()).toBeGreaterThan(after);
  });

  it('counts other instructions at once, as much longer as they may be', async () => {
    const jo = stack.as('jo');
    const { id } = await jo.chat('changes');
    await outgrown.talk(jo, id, 'before the change', 10);
    expect((await outgrown.window(id)).window_from_seq).toBeNull();
    await stack.database.query(
      `UPDATE assistants SET system_prompt = repeat('Be brief. ', 300), version = version + 1 WHERE slug = 'changes'`,
    );
    const [call] = await outgrown.talk(jo, id, 'after the change', 1);
    expect((await outgrown.window(id)).window_from_seq).toBeGreaterThan(3);
    expect(tokensOf(call as SeenCall)).toBeLessThan(LIMIT * 0.6);
    // Once the model has counted them, the window stays.
    expect(movesIn([call as SeenCall, ...(await outgrown.talk(jo, id, 'some time after', 3))])).toEqual([]);
  });
});
