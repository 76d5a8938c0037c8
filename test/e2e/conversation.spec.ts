import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack } from '../support/stack.js';
import { until } from '../support/until.js';
import { saidIn } from '../support/said.js';

const QUESTION = '¿Cómo reinstalo el software?';

describe('a conversation', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  it('begins with the welcome message, gets a reply, and can be read back', async () => {
    const ana = stack.as('ana');
    const opened = await ana.post('/api/v1/assistants/support/chats');
    expect(opened.status).toBe(201);
    expect(opened.leads(opened.headers.get('location'))).toBe(`/api/v1/chats/${opened.body.id}`);
    expect(opened.body.messages).toMatchObject([
      { role: 'system', seq: 1, content: expect.stringContaining('Hello!') },
    ]);

    const turn = await ana.turn(opened.body.id, QUESTION);
    expect(turn.status).toBe(200);
    expect(turn.body.user_message).toMatchObject({ role: 'user', seq: 2, content: QUESTION });
    expect(turn.body.assistant_message).toMatchObject({
      role: 'assistant',
      seq: 3,
      status: 'complete',
      stop_reason: 'end_turn',
      job_id: turn.body.job_id,
    });
    expect(turn.body.assistant_message.usage.output_tokens).toBeGreaterThan(0);

    const history = await ana.get(`/api/v1/chats/${opened.body.id}/messages`);
    expect(history.body.data.map((message: any) => message.seq)).toEqual([1, 2, 3]);
    expect(history.body.data.slice(1)).toEqual([turn.body.user_message, turn.body.assistant_message]);

    const again = await ana.post('/api/v1/assistants/support/chats');
    expect(again.status).toBe(200);
    expect(again.body.id).toBe(opened.body.id);
    expect(again.body.messages).toEqual(history.body.data);
  });

  it('works asynchronously: 202 with the job, which can be polled until its message is there', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    const accepted = await ben.turn(chat.id, QUESTION, { prefer: 'respond-async' });
    expect(accepted.status).toBe(202);
    expect(accepted.headers.get('preference-applied')).toBe('respond-async');
    expect(accepted.headers.get('retry-after')).toBe('1');
    expect(accepted.leads(accepted.headers.get('location'))).toBe(`/api/v1/jobs/${accepted.body.id}`);

    const job = await ben.finalJob(accepted.body.id);
    expect(job).toMatchObject({ status: 'succeeded', attempts: 1, error: null, chat_id: chat.id });
    expect(job.assistant_message).toMatchObject({ seq: 3, role: 'assistant', job_id: job.id });
  });

  it('waits as long as the request says: `wait=1` gives 202 for a slow reply and 200 for a quick one', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    await stack.model.script('slow', { delay_ms: 2500 });
    const slow = await eva.turn(chat.id, 'a slow one', { prefer: 'wait=1' });
    expect(slow.status).toBe(202);
    expect(slow.headers.get('preference-applied')).toBe('wait=1');
    expect((await eva.finalJob(slow.body.id)).status).toBe('succeeded');

    const quick = await eva.turn(chat.id, 'a quick one', { prefer: 'wait=10' });
    expect(quick.status).toBe(200);
    expect(quick.headers.get('preference-applied')).toBe('wait=10');
  });

  it('serves JSON or events, by the Accept header and its preferences', async () => {
    const ria = stack.as('ria');
    const chat = await ria.chat();
    const type = async (accept: string): Promise<string | null> => {
      const { status, headers } = await ria.turn(chat.id, 'hello', { accept });
      expect(status).toBe(200);
      return headers.get('content-type');
    };
    expect(await type('application/json; charset=utf-8')).toBe('application/json; charset=utf-8');
    expect(await type('application/*;q=0.5, text/event-stream;q=0.4')).toBe('application/json; charset=utf-8');
    expect(await type('application/json;q=0.1, text/event-stream;charset=utf-8')).toBe(
      'text/event-stream; charset=utf-8',
    );
  });

  it('ignores unknown preferences (RFC 7240), and does not name them in its answer', async () => {
    const kim = stack.as('kim');
    const chat = await kim.chat();
    const turn = await kim.turn(chat.id, 'hello', { prefer: 'handling=lenient, wait=soon' });
    expect(turn.status).toBe(200);
    expect(turn.headers.get('preference-applied')).toBeNull();
  });

  it('can store messages first and ask for one reply to them later', async () => {
    const leo = stack.as('leo');
    const chat = await leo.chat();
    for (const content of ['first part', 'second part']) {
      const stored = await leo.post(`/api/v1/chats/${chat.id}/messages`, { content, metadata: { page: 'start' } });
      expect(stored.status).toBe(201);
      expect(stored.body).toMatchObject({ role: 'user', content, metadata: { page: 'start' } });
    }
    const asked = await leo.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id });
    expect(asked.status).toBe(202);
    const job = await leo.finalJob(asked.body.id);
    expect(job.assistant_message?.seq).toBe(4);
    const [call] = await stack.model.calls('second part');
    expect(saidIn(call)).toEqual([{ role: 'user', content: 'first part\n\nsecond part' }]);

    const nothing = await leo.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id });
    expect([nothing.status, nothing.body.code]).toEqual([409, 'invalid_transition']);
  });

  it('finds the message to reply to, even if many are stored at the same moment', async () => {
    const pat = stack.as('pat');
    const chat = await pat.chat();
    const path = `/api/v1/chats/${chat.id}/messages`;
    await pat.post(path, { content: 'unanswered' });
    for (let round = 0; round < 15; round++) {
      const [asked] = await Promise.all([
        pat.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id }),
        pat.post(path, { content: 'one more' }),
        pat.post(path, { content: 'and more' }),
      ]);
      expect([asked.status, asked.body.message]).toEqual([202, undefined]);
      await pat.finalJob(asked.body.id);
      await pat.post(path, { content: 'unanswered' });
    }
  });

  it('goes on after a blank reply, and after one with wrong figures', async () => {
    const quin = stack.as('quin');
    const chat = await quin.chat();
    await stack.model.script('say nothing', { text: ' \n\n', stop_reason: 'max_tokens' }, 1);
    expect((await quin.turn(chat.id, 'say nothing')).body.assistant_message.content).toBe(' \n\n');
    await stack.model.script('odd', { text: 'odd', stop_reason: 'end\0turn' });
    expect((await quin.turn(chat.id, 'odd')).body.assistant_message).toMatchObject({
      content: 'odd',
      stop_reason: 'endturn',
    });
    expect((await quin.turn(chat.id, 'and now?')).status).toBe(200);
  });

  it('says of a refused turn, in its answer and ever after, that the model does not get it any more', async () => {
    const rae = stack.as('rae');
    const chat = await rae.chat();
    const refusal = { text: 'Half', stop_reason: 'refusal', stop_details: { category: 'bio', explanation: null } };
    await stack.model.script('never this', refusal, 1);
    const { status, body } = await rae.turn(chat.id, 'never this');
    expect([status, body]).toMatchObject([
      200,
      {
        user_message: { in_context: false },
        assistant_message: { in_context: false, status: 'incomplete', stop_details: refusal.stop_details },
      },
    ]);
    const { data } = (await rae.get(`/api/v1/chats/${chat.id}/messages`)).body;
    expect(data.slice(1)).toEqual([body.user_message, body.assistant_message]);
    await rae.turn(chat.id, 'and this?');
    const [call] = await stack.model.calls('and this?');
    expect(saidIn(call)).toEqual([{ role: 'user', content: 'and this?' }]);
  });

  it('also works on the assistant’s own paths, for that assistant’s chats only', async () => {
    const mia = stack.as('mia');
    const chat = await mia.chat('billing');
    const own = `/api/v1/assistants/billing/chats/${chat.id}`;
    expect((await mia.post(`${own}/turns`, { user_message: 'hi' })).status).toBe(200);
    expect((await mia.post(`${own}/messages`, { content: 'and this' })).status).toBe(201);
    expect((await mia.get(`${own}/messages`)).body.data).toHaveLength(4);

    const other = `/api/v1/assistants/support/chats/${chat.id}`;
    expect((await mia.post(`${other}/turns`, { user_message: 'hi' })).status).toBe(404);
    expect((await mia.post(`${other}/messages`, { content: 'hi' })).status).toBe(404);
    expect((await mia.get(`${other}/messages`)).status).toBe(404);
  });

  it('carries the request’s id into the answer and into the logs of the API and the worker', async () => {
    const ned = stack.as('ned');
    const chat = await ned.chat();
    const turn = await ned.turn(chat.id, 'hello', { 'x-request-id': 'trace-me.42' });
    expect(turn.headers.get('x-request-id')).toBe('trace-me.42');
    expect(stack.api.output()).toContain('request_id=trace-me.42');
    // The answer may come before the worker's line.
    await until(
      () => Promise.resolve(stack.workers[0]?.output().includes('request_id=trace-me.42')),
      'the worker’s line',
    );

    const odd = await ned.get('/api/v1/chats', { headers: { 'x-request-id': 'not fit; for a log' } });
    expect(odd.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('lists the assistants, without their instructions', async () => {
    const { body } = await stack.as('oda').get('/api/v1/assistants');
    expect(body.data.map((assistant: any) => assistant.slug)).toEqual(['billing', 'general', 'support']);
    expect(JSON.stringify(body)).not.toContain('prompt');
  });

  it('takes the longest allowed message, measured in characters and not in bytes', async () => {
    const eva = stack.as('eva-long');
    const chat = await eva.chat();
    expect((await eva.turn(chat.id, '😀'.repeat(32_000))).status).toBe(200);
  });
});
