import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import type { Client } from '../support/client.js';
import { openStream } from '../support/events.js';
import { type LedgerLine, ledgerOf } from '../support/ledger.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';
import { until } from '../support/until.js';

/** Five thousand characters, in pieces. */
const LONG = Array.from({ length: 250 }, (_, n) => `piece number ${n} of it `.padEnd(20, '.').slice(0, 20));

describe('the ledger', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1, workerEnv: { MODEL_IDLE_SECONDS: '2' } });
  });
  afterAll(() => stack.stop());

  /** Sends a turn, and acts once this many characters of its reply were seen. */
  const whileWriting = async (
    user: Client,
    text: string,
    characters: number,
    act: (jobId: string, chatId: string) => Promise<unknown>,
  ): Promise<LedgerLine[]> => {
    const chat = await user.chat();
    const path = `/api/v1/chats/${chat.id}/turns`;
    const stream = await openStream(user.url, user.token ?? '', path, { body: { user_message: text } });
    let jobId = '';
    for await (const { event, data } of stream.events) {
      if (jobId === '') jobId = data.id as string;
      if (characters === 0 && data.status === 'running') break;
      if (event === 'delta' && (data.offset as number) + (data.text as string).length >= characters) break;
    }
    await act(jobId, chat.id);
    stream.close();
    // After a deletion there is no job to ask for.
    await until(async () => (await open(jobId)) === 0, 'the end of the call');
    return ledgerOf(stack, jobId);
  };

  const open = async (jobId: string): Promise<number> => {
    const { rows } = await stack.database.query(
      `SELECT count(*)::int AS n FROM model_calls c LEFT JOIN jobs j ON j.id = c.job_id
        WHERE c.outcome = 'running' AND (c.job_id = $1 OR j.id IS NULL)`,
      [jobId],
    );
    return rows[0]?.n as number;
  };

  const cancel = (user: Client) => (jobId: string) => user.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });

  it('has the tokens seen of a canceled call, marked as an estimate, as in the message', async () => {
    const ana = stack.as('ana');
    await stack.model.script('cancel this', { pieces: LONG, piece_delay_ms: 2, stall_after: 249 });
    const [line] = await whileWriting(ana, 'cancel this', 4_900, cancel(ana));
    expect(line).toMatchObject({ outcome: 'canceled', estimated: true });
    const [billed] = (await stack.model.bill()).calls.filter(({ asked }) => asked === 'cancel this');
    expect(line?.output_tokens).toBeGreaterThanOrEqual(billed?.output_tokens ?? Infinity);
    expect(line?.output_tokens).toBeLessThan(3 * (billed?.output_tokens ?? 0));
    const job = await ana.finalJob(line?.job_id ?? '');
    expect(job.assistant_message?.usage).toEqual({
      input_tokens: line?.input_tokens,
      output_tokens: line?.output_tokens,
      cache_read_tokens: 0,
      cache_write_tokens: 0,
      estimated: true,
    });
  });

  it.each([
    ['that broke off', { cut_after: 249 }],
    ['that fell silent', { stall_after: 249 }],
    ['that an error ended', { error_event_after: 249 }],
  ])('has the tokens seen of a call %s', async (what, trouble) => {
    const user = stack.as(what);
    await stack.model.script(`a call ${what}`, { pieces: LONG, ...trouble }, 1);
    await stack.model.script(`a call ${what}`, { text: 'whole' });
    const chat = await user.chat();
    const { body } = await user.turn(chat.id, `a call ${what}`);
    const [broken, whole] = await ledgerOf(stack, body.job_id);
    expect([broken, whole]).toMatchObject([
      { outcome: 'failed', estimated: true },
      { outcome: 'completed', estimated: false },
    ]);
    expect(broken?.output_tokens).toBeGreaterThan(1_000);
  });

  it('has no tokens for a refused call, and the sent ones for a call that was canceled before its answer', async () => {
    const bea = stack.as('bea');
    await stack.model.script('no', { status: 400, error_type: 'invalid_request_error' }, 1);
    const { body } = await bea.turn((await bea.chat()).id, 'no');
    const nothing = { input_tokens: null, output_tokens: null, estimated: false };
    expect(await ledgerOf(stack, body.job_id)).toMatchObject([{ outcome: 'failed', ...nothing }]);
    // A model that is away also bills nothing, however much was sent to it.
    await stack.model.script('away', { hang_before_headers: true }, 1);
    const away = await bea.turn((await bea.chat()).id, 'away');
    expect((await ledgerOf(stack, away.body.job_id))[0]).toMatchObject({ outcome: 'failed', ...nothing });
    await stack.model.script('hang', { hang_before_headers: true });
    const [line] = await whileWriting(bea, 'hang', 0, async (jobId) => {
      await until(async () => (await stack.model.calls('hang')).length > 0, 'the call');
      await cancel(bea)(jobId);
    });
    expect(line).toMatchObject({ outcome: 'canceled', output_tokens: null, estimated: true });
    expect(line?.input_tokens).toBeGreaterThan(50);
  });

  /** The only worker, once the first has died. */
  let another: App;

  it('has the tokens of the last saved draft for a call whose worker died', async () => {
    const cem = stack.as('cem');
    await stack.model.script('a worker dies', { pieces: LONG, piece_delay_ms: 40 }, 1);
    await stack.model.script('a worker dies', { text: 'whole' });
    const [worker] = stack.workers;
    const job = await cem.turnAsync((await cem.chat()).id, 'a worker dies');
    await until(async () => {
      const { rows } = await stack.database.query('SELECT length(draft) AS n FROM jobs WHERE id = $1', [job.id]);
      return (rows[0]?.n as number) > 500;
    }, 'the heartbeat');
    await worker?.kill();
    another = await stack.startWorker({ MODEL_IDLE_SECONDS: '60' });
    expect(await cem.finalJob(job.id)).toMatchObject({ status: 'succeeded' });
    const [lost] = await ledgerOf(stack, job.id);
    expect(lost).toMatchObject({ outcome: 'lost', estimated: true });
    expect(lost?.output_tokens).toBeGreaterThan(200);
  });

  it('has the prompt, as an estimate, of a call whose worker died before the model answered', async () => {
    const [first, second] = [stack.as('fin'), stack.as('gus')];
    await stack.model.script('died early', { hang_before_headers: true }, 2);
    const jobs: string[] = [];
    for (const user of [first, second]) {
      jobs.push((await user.turnAsync((await user.chat()).id, `${'word '.repeat(1_000)} died early`)).id);
    }
    await until(async () => (await stack.model.calls('died early')).length === 2, 'the calls');
    await another.kill();
    // One is canceled while no worker runs, and another worker takes the other over.
    expect((await second.patch(`/api/v1/jobs/${jobs[1]}`, { status: 'canceled' })).status).toBe(200);
    await stack.model.script('died early', { text: 'whole' });
    await stack.startWorker();
    expect(await first.finalJob(jobs[0] ?? '')).toMatchObject({ status: 'succeeded', attempts: 2 });
    const [lost, whole] = await ledgerOf(stack, jobs[0] ?? '');
    const [canceled] = await ledgerOf(stack, jobs[1] ?? '');
    const unknown = { message_id: null, estimated: true, output_tokens: null };
    expect([lost, canceled]).toMatchObject([
      { ...unknown, outcome: 'lost' },
      { ...unknown, outcome: 'canceled' },
    ]);
    for (const line of [lost, canceled]) {
      expect(line?.input_tokens).toBeGreaterThan(1_000);
      expect(line?.input_tokens).toBeLessThan(2 * (whole?.input_tokens ?? 0));
    }
  });

  it.each([
    ['late', { usage: 'late' }],
    ['at no time', { usage: 'none' }],
    ['wrong', { usage_start: { input_tokens: -1 }, usage_delta: { output_tokens: 1e12 } }],
    [
      'growing',
      { usage_start: { input_tokens: 10, output_tokens: 1 }, usage_delta: { input_tokens: 5_000, output_tokens: 9 } },
    ],
  ])('has a call whose figures come %s', async (when, usage) => {
    const user = stack.as(`figures ${when}`);
    await stack.model.script(`figures ${when}`, { text: 'The whole reply.', ...usage });
    const { body } = await user.turn((await user.chat()).id, `figures ${when}`);
    const [line] = await ledgerOf(stack, body.job_id);
    const isReported = when === 'late' || when === 'growing';
    expect(line).toMatchObject({ outcome: 'completed', estimated: !isReported });
    expect(line?.input_tokens).toBeGreaterThan(when === 'growing' ? 4_999 : 50);
    expect(line?.output_tokens).toBeGreaterThan(3);
    expect(body.assistant_message.usage.estimated).toBe(isReported ? undefined : true);
  });

  it('has a call as canceled when its chat was deleted at the moment of its reply', async () => {
    const outcomes: string[] = [];
    for (let n = 0; n < 12; n++) {
      const user = stack.as(`deleter ${n}`);
      const text = `ends just now, ${n}`;
      await stack.model.script(text, { pieces: ['all ', 'of it'], piece_delay_ms: 30 });
      const chat = await user.chat();
      await user.turnAsync(chat.id, text);
      await until(async () => (await stack.model.calls(text)).length > 0, 'the call');
      await new Promise((resolve) => setTimeout(resolve, n * 8));
      await user.request('DELETE', `/api/v1/chats/${chat.id}`);
      const { rows } = await stack.database.query<{ outcome: string }>(
        `SELECT outcome FROM model_calls WHERE user_id = $1`,
        [`deleter ${n}`],
      );
      outcomes.push(...rows.map(({ outcome }) => outcome));
    }
    expect(outcomes.filter((outcome) => outcome !== 'canceled' && outcome !== 'completed')).toEqual([]);
    expect(outcomes).toContain('canceled');
  });
});

describe('a limit of tokens a day', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ env: { USER_TOKENS_PER_DAY: '1000' } });
  });
  afterAll(() => stack.stop());

  it('cannot be evaded by canceling: neither in mid-reply, nor while the model thinks, nor before it answers', async () => {
    await stack.model.script('in mid-reply', { pieces: LONG, stall_after: 249 });
    await stack.model.script('while it thinks', { blocks: [{ type: 'thinking', silent_ms: 60_000 }] });
    await stack.model.script('before it answers', { hang_before_headers: true });
    const begun: [string, number][] = [
      ['in mid-reply', 0],
      ['while it thinks', 3_000],
      ['before it answers', 0],
    ];
    for (const [when, wait] of begun) {
      const user = stack.as(`cancels ${when}`);
      const chat = await user.chat();
      let status = 202;
      let turns = 0;
      for (; status === 202 && turns < 60; turns++) {
        // Sent tokens count, too, so long messages are no way around the limit either.
        const words = when === 'before it answers' ? 'word '.repeat(2_000) : '';
        const answer = await user.turn(chat.id, `${turns} ${words} ${when}`, { prefer: 'respond-async' });
        status = answer.status;
        if (status !== 202) break;
        await until(
          async () =>
            (await stack.model.allCalls()).some(({ asked, outcome }) => asked.endsWith(when) && outcome === 'running'),
          'the call',
        );
        await new Promise((resolve) => setTimeout(resolve, wait + 200));
        await user.patch(`/api/v1/jobs/${answer.body.id}`, { status: 'canceled' });
        await until(
          async () => (await ledgerOf(stack, answer.body.id))[0]?.outcome === 'canceled',
          'the end of the call',
        );
      }
      expect([when, status]).toEqual([when, 429]);
    }
  });
});
