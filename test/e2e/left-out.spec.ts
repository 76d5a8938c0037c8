import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import { borrowStack } from '../support/borrow-stack.js';
import { saidIn } from '../support/said.js';
import { type Stack, tokenFor } from '../support/stack.js';

const MODEL = 'claude-sonnet-5-5';

describe('no message spoils its chat', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  /** The messages of a chat, each with `in_context`. */
  const messagesOf = async (user: Client, chatId: string) =>
    (await user.get(`/api/v1/chats/${chatId}/messages`)).body.data as {
      role: string;
      content: string;
      status: string;
      in_context?: false;
      stop_details?: object;
    }[];
  const leftOut = async (user: Client, chatId: string): Promise<string[]> =>
    (await messagesOf(user, chatId)).filter(({ in_context }) => in_context === false).map(({ content }) => content);
  const sentFor = async (text: string): Promise<unknown[]> =>
    saidIn((await stack.model.calls(text)).at(-1)).map(({ content }) => content);

  it('the model does not get a refused turn and its reply again; both messages say so, and give the reason', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('fine', { text: 'a fine answer' });
    await ana.turn(chat.id, 'fine so far');
    const details = { category: 'cyber', explanation: 'That could do harm.' };
    await stack.model.script('how do I', { text: 'First you', stop_reason: 'refusal', stop_details: details });
    const refused = await ana.turn(chat.id, 'how do I break in?');
    expect([refused.status, refused.body.assistant_message]).toEqual([
      200,
      expect.objectContaining({
        content: 'First you',
        status: 'incomplete',
        stop_reason: 'refusal',
        stop_details: details,
        in_context: false,
      }),
    ]);
    expect(await leftOut(ana, chat.id)).toEqual(['how do I break in?', 'First you']);
    expect((await ana.finalJob(refused.body.job_id)).assistant_message?.stop_details).toEqual(details);
    expect(String((await ana.get('/api/v1/me/export')).body)).toContain('That could do harm.');
    expect((await ana.turn(chat.id, 'something else')).status).toBe(200);
    expect(await sentFor('something else')).toEqual(['fine so far', 'a fine answer', 'something else']);
  });

  it('a refusal without text, or without a reason, is a reply without content', async () => {
    const abe = stack.as('abe');
    const chat = await abe.chat();
    await stack.model.script('refused at once', { empty_content: true, stop_reason: 'refusal' });
    const { body } = await abe.turn(chat.id, 'refused at once');
    expect(body.assistant_message).toMatchObject({ content: '', status: 'incomplete', stop_reason: 'refusal' });
    expect(body.assistant_message).not.toHaveProperty('stop_details');
    expect((await abe.turn(chat.id, 'and this?')).status).toBe(200);
    expect(await sentFor('and this?')).toEqual(['and this?']);
  });

  it.each<[string, string, object]>([
    ['rejected', 'model_rejected', { status: 400, error_type: 'invalid_request_error', message: 'messages.1: no' }],
    ['too long', 'message_too_long', { status: 413, error_type: 'request_too_large' }],
    ['out of context', 'context_exceeded', { empty_content: true, stop_reason: 'model_context_window_exceeded' }],
  ])(
    'a turn that is %s leaves out all that was said since the last reply, and nothing before',
    async (what, code, script) => {
      const bea = stack.as(`bea ${what}`);
      const chat = await bea.chat();
      await bea.turn(chat.id, 'a question');
      const [, , reply] = await messagesOf(bea, chat.id);
      await bea.post(`/api/v1/chats/${chat.id}/messages`, { content: `${what}: by the way` });
      await stack.model.script(`${what}: and now`, script);
      const failed = await bea.turn(chat.id, `${what}: and now`);
      expect([failed.status, (await bea.finalJob(failed.body.job_id)).error?.code]).toEqual([502, code]);
      expect(await leftOut(bea, chat.id)).toEqual([`${what}: by the way`, `${what}: and now`]);
      expect((await bea.turn(chat.id, `after ${what}`)).status).toBe(200);
      expect(await sentFor(`after ${what}`)).toEqual(['a question', reply?.content, `after ${what}`]);
    },
  );

  it('the model gets a turn again that failed for other reasons', async () => {
    const cem = stack.as('cem');
    const chat = await cem.chat();
    await stack.model.script('without an answer', { empty_content: true }, 2);
    expect((await cem.turn(chat.id, 'without an answer')).status).toBe(502);
    expect(await leftOut(cem, chat.id)).toEqual([]);
  });

  it('the model gets such a turn after all when an operator requeues it', async () => {
    const dan = stack.as('dan');
    const ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    const chat = await dan.chat();
    await stack.model.script('a strange one', { status: 400, error_type: 'invalid_request_error' }, 1);
    const failed = await dan.turn(chat.id, 'a strange one');
    expect(await leftOut(dan, chat.id)).toEqual(['a strange one']);
    expect((await ops.patch(`/api/v1/admin/jobs/${failed.body.job_id}`, { status: 'queued' })).status).toBe(200);
    expect(await dan.finalJob(failed.body.job_id)).toMatchObject({ status: 'succeeded' });
    expect(await leftOut(dan, chat.id)).toEqual([]);
  });

  it('the model gets such a message after all when its user asks for a reply again, and also with later turns', async () => {
    const gia = stack.as('gia');
    const chat = await gia.chat();
    await stack.model.script('an odd one', { status: 400, error_type: 'invalid_request_error' }, 1);
    await gia.turn(chat.id, 'an odd one');
    expect(await leftOut(gia, chat.id)).toEqual(['an odd one']);
    const again = await gia.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id });
    expect(again.status).toBe(202);
    expect(await gia.finalJob(again.body.id)).toMatchObject({ status: 'succeeded' });
    expect(await leftOut(gia, chat.id)).toEqual([]);
    await gia.turn(chat.id, 'and so on');
    expect((await sentFor('and so on'))[0]).toBe('an odd one');
  });

  it('messages that an earlier turn left out stay left out when a later one is requeued', async () => {
    const hal = stack.as('hal');
    const ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    const chat = await hal.chat();
    await stack.model.script('never said', { text: 'No.', stop_reason: 'refusal' });
    await hal.turn(chat.id, 'never said');
    await stack.model.script('comes to nothing now', { empty_content: true }, 2);
    const failed = await hal.turn(chat.id, 'comes to nothing now');
    await ops.patch(`/api/v1/admin/jobs/${failed.body.job_id}`, { status: 'queued' });
    expect(await hal.finalJob(failed.body.job_id)).toMatchObject({ status: 'succeeded' });
    expect(await leftOut(hal, chat.id)).toEqual(['never said', 'No.']);
    expect(await sentFor('comes to nothing now')).toEqual(['comes to nothing now']);
  });

  it('a chat that has become too long for its model goes on with less history, without another attempt', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    const long = 'word '.repeat(400);
    await stack.model.script('long', { text: long });
    for (let n = 0; n < 8; n++) await eva.turn(chat.id, `long ${n} ${long}`);
    // Room for the instructions and two such turns.
    await stack.model.models(MODEL, { max_input_tokens: 2_500 });
    const turn = await eva.turn(chat.id, 'and in short?');
    expect(turn.status).toBe(200);
    expect(await ledgerOf(stack, turn.body.job_id)).toMatchObject([{ attempt: 1, outcome: 'completed' }]);
    const calls = await stack.model.calls('and in short?');
    expect(calls.map(({ outcome }) => outcome)).toEqual(['too_long', 'completed']);
    expect(calls.map(({ messages }) => messages.length)).toEqual([17, 3]);
    expect(await leftOut(eva, chat.id)).toEqual([]);

    // A message that does not fit by itself fails, and the next one goes without it.
    const alone = await eva.turn(chat.id, `alone ${'word '.repeat(3_000)}`);
    expect([alone.status, (await eva.finalJob(alone.body.job_id)).error?.code]).toEqual([502, 'message_too_long']);
    expect((await eva.turn(chat.id, 'shorter')).status).toBe(200);
    await stack.model.models();
  });

  it('a model that refuses the length only while it answers gets less history, too', async () => {
    const ida = stack.as('ida');
    const chat = await ida.chat();
    for (let n = 0; n < 4; n++) await ida.turn(chat.id, `some words, ${n}`);
    const event = { error_event_after: 0, error_type: 'invalid_request_error' };
    await stack.model.script(
      'found out late',
      { text: 'x', ...event, message: 'prompt is too long: 9 tokens > 8 maximum' },
      1,
    );
    expect((await ida.turn(chat.id, 'found out late')).status).toBe(200);
    expect((await stack.model.calls('found out late')).map(({ messages }) => messages.length)).toEqual([9, 5]);
  });

  it('an answer that had no room is asked for again with less history, but not a third time', async () => {
    const fay = stack.as('fay');
    const chat = await fay.chat();
    for (let n = 0; n < 4; n++) await fay.turn(chat.id, `a little ${n}`);
    await stack.model.script('no room', { empty_content: true, stop_reason: 'model_context_window_exceeded' }, 1);
    expect((await fay.turn(chat.id, 'no room at first')).status).toBe(200);
    expect((await stack.model.calls('no room at first')).map(({ messages }) => messages.length)).toEqual([9, 5]);
    await stack.model.script('none at all', { empty_content: true, stop_reason: 'model_context_window_exceeded' });
    expect((await fay.turn(chat.id, 'none at all')).status).toBe(502);
    expect(await stack.model.calls('none at all')).toHaveLength(2);
  });
});
