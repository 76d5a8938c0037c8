import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timeLimit } from '#process/time-limit.js';
import { onQueue } from '../support/queue.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack } from '../support/stack.js';
import { until } from '../support/until.js';

describe('the job of a turn', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  const running = async (user: string, jobId: string): Promise<void> => {
    await until(
      async () => (await stack.as(user).get(`/api/v1/jobs/${jobId}`)).body.status === 'running',
      'the attempt',
    );
  };

  it('is the only one of its chat: a second turn is refused, and the answer names the job in the way', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('take your time', { delay_ms: 1500 });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => ana.turn(chat.id, 'take your time', { prefer: 'respond-async' })),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    expect(accepted).toHaveLength(1);
    for (const { status, body } of answers.filter((answer) => answer !== accepted[0])) {
      expect([status, body.code]).toEqual([409, 'turn_in_progress']);
      expect([accepted[0]?.body.id, undefined]).toContain(body.job_id);
    }
    const message = await ana.post(`/api/v1/chats/${chat.id}/messages`, { content: 'in between' });
    expect([message.status, message.body.job_id]).toEqual([409, accepted[0]?.body.id]);
    await ana.finalJob(accepted[0]?.body.id);
    expect((await ana.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(3);
  });

  it('canceled while it runs: the model call ends, the text so far is kept, and nothing changes it later', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    await stack.model.script('endless', {
      pieces: Array.from({ length: 400 }, (_, n) => `piece ${n} `),
      piece_delay_ms: 50,
    });
    const job = await ben.turnAsync(chat.id, 'an endless story');
    await until(async () => {
      const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [job.id]);
      return rows[0]?.draft !== '';
    }, 'the first checkpoint');
    const canceled = await ben.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
    expect(canceled.status).toBe(200);
    expect(canceled.body).toMatchObject({
      status: 'canceled',
      assistant_message: {
        status: 'incomplete',
        stop_reason: 'canceled',
        content: expect.stringMatching(/^piece 0 piece 1 /),
      },
    });
    await until(async () => (await stack.model.calls('endless'))[0]?.outcome === 'client_closed', 'the call’s end');
    expect((await ben.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' })).status).toBe(200);
    expect((await ben.get(`/api/v1/jobs/${job.id}`)).body).toEqual(canceled.body);
    // The chat is free again.
    expect((await ben.turn(chat.id, 'something else')).status).toBe(200);
  });

  it('canceled while a client waits for its turn: the client’s answer says so', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    await stack.model.script('never', { hang_before_headers: true });
    const waiting = eva.turn(chat.id, 'never answered');
    const jobId = await until(async () => {
      const { rows } = await stack.database.query('SELECT id FROM jobs WHERE chat_id = $1', [chat.id]);
      return rows[0]?.id as string | undefined;
    }, 'the job');
    await running('eva', jobId);
    await eva.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });
    const answer = await waiting;
    expect([answer.status, answer.body.code, answer.body.job_id]).toEqual([409, 'turn_canceled', jobId]);
    expect((await eva.get(`/api/v1/jobs/${jobId}`)).body.assistant_message).toBeNull();
  });

  it('that has ended cannot be canceled', async () => {
    const kim = stack.as('kim');
    const chat = await kim.chat();
    const turn = await kim.turn(chat.id, 'quick');
    const refused = await kim.patch(`/api/v1/jobs/${turn.body.job_id}`, { status: 'canceled' });
    expect([refused.status, refused.body.code]).toEqual([409, 'invalid_transition']);
  });

  it('is tried again after a temporary fault, and keeps one message', async () => {
    const leo = stack.as('leo');
    const chat = await leo.chat();
    await stack.model.script('overloaded', { status: 529, error_type: 'overloaded_error', message: 'busy' }, 1);
    const turn = await leo.turn(chat.id, 'overloaded at first');
    expect(turn.status).toBe(200);
    expect((await leo.get(`/api/v1/jobs/${turn.body.job_id}`)).body.attempts).toBe(2);
    expect((await leo.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(3);
  });

  it('does not take a reply that was cut off for a complete one', async () => {
    const mia = stack.as('mia');
    const chat = await mia.chat();
    await stack.model.script('cut', { pieces: ['half a ', 'sentence ', 'and more'], cut_after: 2 }, 1);
    await stack.model.script('cut', { end_without_stop: true }, 1);
    await stack.model.script('cut', { text: 'whole' });
    const turn = await mia.turn(chat.id, 'cut short twice');
    expect(turn.body.assistant_message.content).toBe('whole');
    expect((await mia.get(`/api/v1/jobs/${turn.body.job_id}`)).body.attempts).toBe(3);
  });

  it('ends `failed`, with a code, when the model refuses the request; a waiting client gets 502', async () => {
    const ned = stack.as('ned');
    const chat = await ned.chat();
    await stack.model.script('bad words', {
      status: 400,
      error_type: 'invalid_request_error',
      message: 'messages.0: words of the model',
    });
    const turn = await ned.turn(chat.id, 'bad words');
    expect([turn.status, turn.body.code, turn.body.job_error]).toEqual([502, 'assistant_failed', 'model_rejected']);
    expect(JSON.stringify(turn.body)).not.toContain('words of the model');
    const { body } = await ned.get(`/api/v1/jobs/${turn.body.job_id}`);
    expect(body).toMatchObject({
      status: 'failed',
      attempts: 1,
      error: { code: 'model_rejected' },
      assistant_message: null,
    });
  });

  it.each(['refusal', 'max_tokens'])('takes `%s` as a result, not as a failure', async (reason) => {
    const oda = stack.as(`oda-${reason}`);
    const chat = await oda.chat();
    await stack.model.script(`stop with ${reason}`, { text: 'so far', stop_reason: reason });
    const turn = await oda.turn(chat.id, `stop with ${reason}`);
    expect(turn.body.assistant_message).toMatchObject({ content: 'so far', stop_reason: reason, status: 'incomplete' });
  });

  it('polls cheaply: an unchanged job is 304, a finished one has no Retry-After', async () => {
    const pia = stack.as('pia');
    const chat = await pia.chat();
    await stack.model.script('slowly', { delay_ms: 1500 });
    const job = await pia.turnAsync(chat.id, 'slowly');
    await running('pia', job.id);
    const first = await pia.get(`/api/v1/jobs/${job.id}`);
    expect(first.headers.get('retry-after')).toBe('1');
    const etag = first.headers.get('etag') ?? '';
    expect((await pia.get(`/api/v1/jobs/${job.id}`, { headers: { 'if-none-match': etag } })).status).toBe(304);
    const polled = await pia.get(`/api/v1/jobs/${job.id}`, { headers: { prefer: 'wait=10', 'if-none-match': etag } });
    expect([polled.status, polled.body.status]).toEqual([200, 'succeeded']);
    expect(polled.headers.get('preference-applied')).toBe('wait=10');
    expect(polled.headers.get('retry-after')).toBeNull();
  });

  it('goes on when the client that waits for it leaves', async () => {
    const sam = stack.as('sam');
    const chat = await sam.chat();
    await stack.model.script('leaving', { delay_ms: 800 });
    await expect(
      sam.request('POST', `/api/v1/chats/${chat.id}/turns`, {
        body: { user_message: 'leaving' },
        signal: timeLimit(300).signal,
      }),
    ).rejects.toThrow();
    await until(async () => {
      const { body } = await sam.get(`/api/v1/chats/${chat.id}/messages`);
      return body.data.length === 3;
    }, 'the reply');
  });

  it('is done once however many tickets it has, with several workers', async () => {
    const tom = stack.as('tom');
    const chat = await tom.chat();
    await stack.model.script('many tickets', { delay_ms: 500 });
    const extra = await stack.startWorker();
    const job = await tom.turnAsync(chat.id, 'many tickets');
    await onQueue(stack, async (queue) => {
      for (let n = 0; n < 20; n++) await queue.add('reply', { jobId: job.id }, { removeOnComplete: true });
    });
    expect((await tom.finalJob(job.id)).attempts).toBe(1);
    expect(await stack.model.calls('many tickets')).toHaveLength(1);
    await extra.stop();
  });
});
