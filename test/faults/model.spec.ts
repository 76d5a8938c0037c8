import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../../tools/free-port.js';
import { borrowStack } from '../support/borrow-stack.js';
import type { Answer } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import { ModelStub, type SeenCall } from '../support/model-stub.js';
import type { Stack } from '../support/stack.js';
import { expectSound } from '../support/sweep.js';
import { until } from '../support/until.js';
import { askedIn } from '../support/said.js';

const PIECES = ['one ', 'two ', 'three ', 'four'];

/** Faults after which the same call may succeed. `code` says whether the model was away, or only this answer failed. */
const PASSING: [string, code: string, object][] = [
  ['429', 'model_unavailable', { status: 429, error_type: 'rate_limit_error', headers: { 'retry-after': '1' } }],
  ['529', 'model_unavailable', { status: 529, error_type: 'overloaded_error' }],
  ['500', 'model_unavailable', { status: 500, error_type: 'api_error' }],
  [
    'a proxy’s 502 in HTML',
    'model_unavailable',
    { status: 502, body: '<html>Bad Gateway</html>', content_type: 'text/html' },
  ],
  ['no headers', 'model_unavailable', { hang_before_headers: true }],
  ['HTML with status 200', 'model_unavailable', { body: '<html>Welcome</html>', content_type: 'text/html' }],
  ['JSON with status 200 that breaks off', 'model_unavailable', { body: '{"type":"mess' }],
  [
    'an event that is broken JSON',
    'model_unavailable',
    { body: 'event: message_start\ndata: {"type":\n\n', content_type: 'text/event-stream' },
  ],
  ['an empty stream', 'model_unavailable', { body: '', content_type: 'text/event-stream' }],
  ['a body that stalls', 'answer_broken', { pieces: PIECES, stall_after: 2 }],
  ['pings for ever', 'answer_broken', { pieces: PIECES, ping_after: 2 }],
  ['a slow drip', 'answer_broken', { pieces: Array.from({ length: 60 }, (_, n) => `${n} `), piece_delay_ms: 400 }],
  ['a connection cut in mid-stream', 'answer_broken', { pieces: PIECES, cut_after: 2 }],
  ['a connection cut before the first word', 'answer_broken', { pieces: PIECES, cut_after: 0 }],
  ['a stream that ends without message_stop', 'answer_broken', { pieces: PIECES, end_without_stop: true }],
  [
    'an overloaded_error inside a 200',
    'answer_broken',
    { pieces: PIECES, error_event_after: 2, error_type: 'overloaded_error' },
  ],
  ['no content', 'answer_empty', { empty_content: true }],
  ['nothing but white space', 'answer_empty', { pieces: [' ', '\n'] }],
];

/** Faults that the same request will meet again. */
const LASTING: [string, code: string, object][] = [
  ['400', 'model_rejected', { status: 400, error_type: 'invalid_request_error' }],
  ['a firewall’s 403', 'model_rejected', { status: 403, body: '<html>Forbidden</html>', content_type: 'text/html' }],
  ['413', 'message_too_long', { status: 413, error_type: 'request_too_large' }],
  [
    'a prompt that is too long',
    'message_too_long',
    { status: 400, error_type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' },
  ],
  ['an answer that is a tool call', 'model_rejected', { empty_content: true, stop_reason: 'tool_use' }],
  ['an answer that pauses before it begins', 'answer_paused', { empty_content: true, stop_reason: 'pause_turn' }],
  ['no room for an answer', 'context_exceeded', { empty_content: true, stop_reason: 'model_context_window_exceeded' }],
  [
    'an invalid_request_error inside a 200',
    'model_rejected',
    { pieces: PIECES, error_event_after: 2, error_type: 'invalid_request_error' },
  ],
];

/** Faults that only an operator can mend. Turns wait meanwhile. */
const OPERATORS: [string, code: string, object][] = [
  ['401', 'model_unauthorized', { status: 401, error_type: 'authentication_error' }],
  ['403', 'model_unauthorized', { status: 403, error_type: 'permission_error' }],
  ['404', 'model_misconfigured', { status: 404, error_type: 'not_found_error', message: 'model: gone' }],
  ['402', 'model_budget', { status: 402, error_type: 'billing_error' }],
  [
    'a spending limit',
    'model_budget',
    {
      status: 429,
      body: JSON.stringify({
        type: 'error',
        error: { type: 'rate_limit_error', message: 'm', details: { error_code: 'contract_spend_limit_reached' } },
      }),
    },
  ],
  [
    'max_tokens beyond the model’s',
    'model_misconfigured',
    { status: 400, error_type: 'invalid_request_error', message: 'max_tokens: 9 > 1, which is the maximum' },
  ],
];

describe('when the model fails', () => {
  let stack: Stack;
  /** Calls that another stand-in got. */
  const seenElsewhere: SeenCall[] = [];
  let spent: Promise<Answer>;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1, workerEnv: { MODEL_IDLE_SECONDS: '1', MODEL_TOTAL_SECONDS: '3' } });
    // Begun here, because five attempts take long, and the other tests need not wait for it.
    await stack.model.script('never any good', { status: 529, error_type: 'overloaded_error' });
    const user = stack.as('spent');
    spent = user.turn((await user.chat()).id, 'never any good');
  });
  afterAll(async () => {
    try {
      const allCalls = async (): Promise<SeenCall[]> => [...(await stack.model.allCalls()), ...seenElsewhere];
      await expectSound({ database: stack.database, model: { allCalls } });
    } finally {
      await stack.stop();
    }
  });

  it.each(PASSING)(
    'with %s, the turn is tried again (%s) and has the text of one attempt',
    async (fault, code, script) => {
      const user = stack.as(`passing ${fault}`);
      const chat = await user.chat();
      const text = `fault: ${fault}.`;
      await stack.model.script(text, script, 1);
      await stack.model.script(text, { text: 'the whole reply' });
      const turn = await user.turn(chat.id, text);
      expect([turn.status, turn.body.assistant_message?.content]).toEqual([200, 'the whole reply']);
      const lines = await ledgerOf(stack, turn.body.job_id as string);
      expect(lines).toMatchObject([
        { attempt: 1, outcome: 'failed', error_code: code },
        { attempt: 2, outcome: 'completed', error_code: null },
      ]);
      expect(await stack.model.calls(text)).toHaveLength(2);
      // The ledger has the tokens that the model had reported, however the call ended.
      const called = await stack.model.calls(text);
      if (lines[0]?.message_id !== null) expect(lines[0]?.message_id).toBe(called[0]?.id);
      if ('pieces' in script) expect(lines[0]?.input_tokens).toBeGreaterThan(0);
      expect(turn.body.assistant_message.usage).toEqual({
        input_tokens: lines[1]?.input_tokens,
        output_tokens: lines[1]?.output_tokens,
        cache_read_tokens: lines[1]?.cache_read_tokens,
        cache_write_tokens: lines[1]?.cache_write_5m_tokens,
        thinking_tokens: lines[1]?.thinking_tokens,
      });
    },
  );

  it.each(LASTING)('with %s, the turn fails at once and says why (%s)', async (fault, code, script) => {
    const user = stack.as(`lasting ${fault}`);
    const chat = await user.chat();
    const text = `no use: ${fault}.`;
    await stack.model.script(text, script, 1);
    const turn = await user.turn(chat.id, text);
    expect([turn.status, turn.body.code]).toEqual([502, 'assistant_failed']);
    const job = await user.finalJob(turn.body.job_id as string);
    expect(job).toMatchObject({ status: 'failed', attempts: 1, error: { code } });
    expect(await ledgerOf(stack, job.id)).toMatchObject([{ outcome: 'failed', error_code: code }]);
    // The chat goes on: the model does not get the rejected message again.
    const next = `and now, after ${fault}?`;
    expect((await user.turn(chat.id, next)).status).toBe(200);
    const [call] = await stack.model.calls(next);
    expect(askedIn(call)).toBe(code === 'answer_paused' ? `${text}\n\n${next}` : next);
  });

  it.each(OPERATORS)(
    'with %s, the turn waits for an operator (%s), and is answered once the fault is mended',
    async (fault, code, script) => {
      const user = stack.as(`operator ${fault}`);
      const chat = await user.chat();
      const text = `nobody but an operator: ${fault}.`;
      await stack.model.script(text, script, 2);
      const turn = await user.turn(chat.id, text);
      expect([turn.status, turn.body.code]).toEqual([200, undefined]);
      const lines = await ledgerOf(stack, turn.body.job_id as string);
      expect(lines.map(({ outcome, error_code }) => [outcome, error_code])).toEqual([
        ['failed', code],
        ['failed', code],
        ['completed', null],
      ]);
      // No call cost the job an attempt.
      const { rows } = await stack.database.query('SELECT attempts_left FROM jobs WHERE id = $1', [turn.body.job_id]);
      expect(rows).toEqual([{ attempts_left: 4 }]);
      expect((await stack.database.query('SELECT FROM model_holds')).rowCount).toBe(0);
    },
  );

  it.each(['max_tokens', 'model_context_window_exceeded', 'refusal'])(
    'stopping with `%s` is a result that is marked incomplete',
    async (reason) => {
      const user = stack.as(`stops ${reason}`);
      const chat = await user.chat();
      await stack.model.script(`ends with ${reason}`, { text: 'so far', stop_reason: reason });
      const turn = await user.turn(chat.id, `ends with ${reason}`);
      const { assistant_message: message } = turn.body;
      expect(message).toMatchObject({ content: 'so far', stop_reason: reason, status: 'incomplete' });
      expect(await ledgerOf(stack, turn.body.job_id as string)).toMatchObject([{ outcome: 'completed' }]);
    },
  );

  it('always, the turn ends `failed` when its attempts are spent, and the ledger has all of them', async () => {
    const turn = await spent;
    expect([turn.status, turn.body.code]).toEqual([502, 'assistant_failed']);
    const job = await stack.as('spent').finalJob(turn.body.job_id as string);
    expect(job).toMatchObject({ status: 'failed', attempts: 5, error: { code: 'model_unavailable' } });
    expect((await ledgerOf(stack, job.id)).map(({ outcome }) => outcome)).toEqual(Array(5).fill('failed'));
    expect(await stack.model.calls('never any good')).toHaveLength(5);
  });

  it('by asking for a pause, the slot is free meanwhile, and a pause of hours is cut to a minute', async () => {
    const worker = await stack.startWorker({ WORKER_CONCURRENCY: '1' });
    await Promise.all(stack.workers.map((one) => one.stop()));
    const [patient, other] = [stack.as('patient'), stack.as('other')];
    await stack.model.script(
      'come back',
      { status: 429, error_type: 'rate_limit_error', headers: { 'retry-after': '4' } },
      1,
    );
    await stack.model.script('come back tomorrow', { status: 429, headers: { 'retry-after': '86400' } });
    const job = await patient.turnAsync((await patient.chat()).id, 'come back later');
    await until(async () => (await ledgerOf(stack, job.id))[0]?.outcome === 'failed', 'the first attempt');
    expect((await other.turn((await other.chat()).id, 'me first, then')).status).toBe(200);
    expect((await patient.get(`/api/v1/jobs/${job.id}`)).body).toMatchObject({ status: 'queued', attempts: 1 });
    expect(await patient.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 2 });
    const [first, second] = await ledgerOf(stack, job.id);
    expect((second?.started_at.getTime() ?? 0) - (first?.ended_at?.getTime() ?? 0)).toBeGreaterThanOrEqual(4_000);

    const long = await other.turnAsync((await other.chat()).id, 'come back tomorrow');
    await until(async () => (await ledgerOf(stack, long.id))[0]?.outcome === 'failed', 'the refusal');
    const { rows } = await stack.database.query(
      `SELECT extract(epoch FROM available_at - now())::float AS seconds FROM jobs WHERE id = $1`,
      [long.id],
    );
    expect(rows[0]?.seconds).toBeGreaterThan(50);
    expect(rows[0]?.seconds).toBeLessThanOrEqual(60);
    expect((await other.patch(`/api/v1/jobs/${long.id}`, { status: 'canceled' })).body.status).toBe('canceled');
    await worker.stop();
  });

  it('in mid-stream for all turns, each turn has its own attempts, and no other waits', async () => {
    await stack.model.script('breaks off', { pieces: PIECES, error_event_after: 2, error_type: 'overloaded_error' });
    const worker = await stack.startWorker();
    const users = Array.from({ length: 15 }, (_, n) => stack.as(`broken-${n}`));
    const jobs = await Promise.all(
      users.map(async (user, n) => user.turnAsync((await user.chat()).id, `breaks off, ${n}`)),
    );
    await stack.database.query('UPDATE jobs SET attempts_left = 2 WHERE id = ANY($1)', [jobs.map(({ id }) => id)]);
    const ended = await Promise.all(users.map((user, n) => user.finalJob(jobs[n]?.id ?? '')));
    expect(new Set(ended.map(({ error }) => error?.code))).toEqual(new Set(['answer_broken']));
    expect(worker.output()).not.toContain('the model is away');
    await stack.model.clearScripts();
    await worker.stop();
  });

  it('by being away, the turn is answered once the model is back', async () => {
    const port = await freePort();
    // A stand-in that has just started may answer later than the other tests allow.
    const patient = { MODEL_IDLE_SECONDS: '30', MODEL_TOTAL_SECONDS: '60' };
    const worker = await stack.startWorker({ ANTHROPIC_BASE_URL: `http://127.0.0.1:${port}`, ...patient });
    const user = stack.as('refused');
    const job = await user.turnAsync((await user.chat()).id, 'anybody there?');
    await until(async () => (await ledgerOf(stack, job.id)).length > 1, 'the second attempt');
    const late = await ModelStub.start(port);
    const ended = await user.finalJob(job.id);
    seenElsewhere.push(...(await late.allCalls()));
    await worker.stop();
    await late.stop();
    expect(ended.status).toBe('succeeded');
    expect(seenElsewhere).toHaveLength(1);
    const lines = await ledgerOf(stack, job.id);
    // The fault does not count as an absent database: each attempt counted.
    const { rows } = await stack.database.query('SELECT attempts_left FROM jobs WHERE id = $1', [job.id]);
    expect(rows[0]?.attempts_left).toBe(5 - lines.length);
    expect(lines.slice(0, -1).map(({ outcome, error_code }) => `${outcome} ${error_code}`)).toEqual(
      Array(lines.length - 1).fill('failed model_unavailable'),
    );
  });
});
