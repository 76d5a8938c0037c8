import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerOf } from '../support/ledger.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';
import { expectSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Within this long of its worker's death a turn goes on elsewhere, in milliseconds; what the README says. */
const BOUND_MS = 15_000;

const STREAM = { pieces: Array.from({ length: 1_000 }, (_, n) => `first ${n} `), piece_delay_ms: 30 };

describe('a worker that dies or freezes', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(async () => {
    try {
      await expectSound(stack);
    } finally {
      await stack.stop();
    }
  });

  const currentWorker = (): App => stack.workers.at(-1) as App;
  const replaceWorker = async (): Promise<void> => void stack.workers.push(await stack.startWorker());
  const draftOf = async (jobId: string): Promise<string> => {
    const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [jobId]);
    return rows[0]?.draft as string;
  };
  const running = (user: string, jobId: string): Promise<unknown> =>
    until(async () => (await stack.as(user).get(`/api/v1/jobs/${jobId}`)).body.status === 'running', 'the attempt');

  it('killed at whatever moment of an attempt, its turns go on elsewhere within 15 s, each with one reply', async () => {
    await stack.model.script('before the headers', { hang_before_headers: true }, 1);
    await stack.model.script('in mid-stream', STREAM, 1);
    await stack.model.script('after a checkpoint', STREAM, 1);
    await stack.model.script('between two attempts', { status: 529, headers: { 'retry-after': '2' } }, 1);
    const moments = ['after a checkpoint', 'in mid-stream', 'before the headers', 'between two attempts', 'at the end'];
    const jobs = new Map<string, string>();
    const ask = async (moment: string): Promise<string> => {
      const user = stack.as(moment);
      const job = await user.turnAsync((await user.chat()).id, moment);
      jobs.set(moment, job.id);
      return job.id;
    };
    const checkpointed = await ask('after a checkpoint');
    await until(async () => (await draftOf(checkpointed)) !== '', 'a checkpoint');
    const inStream = await ask('in mid-stream');
    await until(async () => (await stack.model.calls('in mid-stream')).length > 0, 'the stream');
    await running('in mid-stream', inStream);
    const hanging = await ask('before the headers');
    await until(async () => (await stack.model.calls('before the headers')).length > 0, 'the call');
    await running('before the headers', hanging);
    const between = await ask('between two attempts');
    await until(async () => (await ledgerOf(stack, between))[0]?.outcome === 'failed', 'the first attempt');
    // The last writes hang on the chat's row, which somebody holds.
    const holder = await stack.database.connect();
    try {
      await holder.query('BEGIN');
      const atEnd = await ask('at the end');
      await holder.query('SELECT 1 FROM chats WHERE user_id = $1 FOR UPDATE', ['at the end']);
      await until(
        async () => (await stack.model.calls('at the end'))[0]?.outcome === 'completed',
        'the reply that cannot be written',
      );
      await pause(200);
      await currentWorker().kill();
      const killed = Date.now();
      await holder.query('COMMIT');
      await replaceWorker();
      for (const moment of moments) {
        const job = await stack.as(moment).finalJob(jobs.get(moment) ?? '');
        expect([moment, job.status]).toEqual([moment, 'succeeded']);
        const lines = await ledgerOf(stack, job.id);
        const second = lines.find(({ attempt }) => attempt === 2);
        if (job.id === atEnd && second === undefined) continue; // the database had the statement, and carried it out
        expect((second?.started_at.getTime() ?? Infinity) - killed).toBeLessThan(BOUND_MS);
        expect(job.assistant_message?.content).not.toContain('first');
        expect(lines[0]?.outcome).toBe(moment === 'between two attempts' ? 'failed' : 'lost');
      }
      // What the model had told by the last checkpoint is known of a call that was lost.
      const [lost] = await ledgerOf(stack, checkpointed);
      const [call] = await stack.model.calls('after a checkpoint');
      expect(lost).toMatchObject({ message_id: call?.id, outcome: 'lost' });
      expect(lost?.input_tokens).toBeGreaterThan(0);
    } finally {
      holder.release();
    }
  }, 60_000);

  it('frozen past its lease and continued, it neither writes nor keeps its model call', async () => {
    const ben = stack.as('ben');
    await stack.model.script('frozen', STREAM, 1);
    await stack.model.script('frozen', { text: 'the second attempt' });
    const job = await ben.turnAsync((await ben.chat()).id, 'frozen in the middle');
    await until(async () => (await draftOf(job.id)) !== '', 'a checkpoint');
    const frozen = currentWorker();
    frozen.freeze();
    await replaceWorker();
    const ended = await ben.finalJob(job.id);
    expect(ended).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect(ended.assistant_message?.content).toBe('the second attempt');
    expect((await stack.model.calls('frozen'))[0]?.outcome).toBe('running');
    frozen.thaw();
    const thawed = Date.now();
    await until(async () => (await stack.model.calls('frozen'))[0]?.outcome === 'client_closed', 'the end of the call');
    expect(Date.now() - thawed).toBeLessThan(5_000);
    await pause(3_000);
    expect((await ben.get(`/api/v1/jobs/${job.id}`)).body).toEqual(ended);
    expect((await ledgerOf(stack, job.id)).map(({ outcome }) => outcome)).toEqual(['lost', 'completed']);
    expect(await frozen.stop()).toBe(0);
  }, 60_000);

  it('frozen while the model ends its reply, it does not write that reply over another', async () => {
    const eva = stack.as('eva');
    await stack.model.script('ends unseen', { pieces: ['late ', 'reply'], piece_delay_ms: 1_500 }, 1);
    await stack.model.script('ends unseen', { text: 'the second attempt' });
    const job = await eva.turnAsync((await eva.chat()).id, 'ends unseen');
    await until(async () => (await stack.model.calls('ends unseen')).length > 0, 'the call');
    const frozen = currentWorker();
    frozen.freeze();
    await replaceWorker();
    const ended = await eva.finalJob(job.id);
    expect(ended.assistant_message?.content).toBe('the second attempt');
    frozen.thaw();
    await until(async () => /fenced off|stopped \(lost\)/.test(frozen.output()), 'the fence');
    expect((await eva.get(`/api/v1/jobs/${job.id}`)).body).toEqual(ended);
    // It was paid for, and the ledger knows.
    const [line] = await ledgerOf(stack, job.id);
    expect(line).toMatchObject({ outcome: 'lost', message_id: (await stack.model.calls('ends unseen'))[0]?.id });
    expect(await frozen.stop()).toBe(0);
  }, 60_000);

  it('killed over a turn again and again, the turn ends `failed`, and is not `running` for ever', async () => {
    const kim = stack.as('kim');
    await stack.model.script('deadly', { hang_before_headers: true }, 1);
    const job = await kim.turnAsync((await kim.chat()).id, 'deadly');
    await until(async () => (await stack.model.calls('deadly')).length > 0, 'the call');
    // As after four deaths.
    await stack.database.query('UPDATE jobs SET attempts_left = 0 WHERE id = $1', [job.id]);
    await currentWorker().kill();
    const killed = Date.now();
    await replaceWorker();
    expect(await kim.finalJob(job.id)).toMatchObject({
      status: 'failed',
      error: { code: 'attempts_exhausted' },
      assistant_message: null,
    });
    expect(Date.now() - killed).toBeLessThan(BOUND_MS);
    expect((await kim.turn((await kim.chat()).id, 'after that')).status).toBe(200);
  }, 60_000);

  it('is not waited for longer than an hour: a turn that has not begun by then is given up', async () => {
    await currentWorker().stop();
    const leo = stack.as('leo');
    const [chat, other] = [await leo.chat(), await leo.chat('billing')];
    const [old, young] = [await leo.turnAsync(chat.id, 'too old'), await leo.turnAsync(other.id, 'just in time')];
    const age = (id: string, by: string): Promise<unknown> =>
      stack.database.query('UPDATE jobs SET created_at = created_at - $2::interval WHERE id = $1', [id, by]);
    await age(old.id, '60 minutes');
    await age(young.id, '59 minutes');
    await replaceWorker();
    expect(await leo.finalJob(old.id)).toMatchObject({ status: 'failed', attempts: 0, error: { code: 'expired' } });
    expect((await leo.finalJob(young.id)).status).toBe('succeeded');
    expect(await stack.model.calls('too old')).toHaveLength(0);
  });
});
