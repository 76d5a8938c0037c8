import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { components } from '#contract/openapi.gen.js';
import { borrowStack } from '../support/borrow-stack.js';
import { ledgerOf } from '../support/ledger.js';
import { Pace } from '../support/pace.js';
import type { App } from '../support/processes.js';
import type { Stack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

type Job = components['schemas']['Job'];

/** In milliseconds: the guarantee for when a dead worker's turn goes on elsewhere. */
const BOUND_MS = 15_000;

const STREAM = { pieces: Array.from({ length: 1_000 }, (_, n) => `first ${n} `), piece_delay_ms: 30 };

describe('a worker', () => {
  let stack: Stack;
  /** The jobs by the text of their turns. Each turn belongs to a user of the same name. */
  const jobs = new Map<string, string>();
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(() => stopSound(stack));

  const currentWorker = (): App => stack.workers.at(-1) as App;
  const replaceWorker = async (): Promise<void> => void stack.workers.push(await stack.startWorker());
  const send = async (text: string): Promise<string> => {
    const user = stack.as(text);
    const { id } = await user.turnAsync((await user.chat()).id, text);
    jobs.set(text, id);
    return id;
  };
  const jobOf = (text: string): string => jobs.get(text) ?? '';
  const final = (text: string): Promise<Job> => stack.as(text).finalJob(jobOf(text));
  const checkpoint = (text: string): Promise<unknown> =>
    until(async () => {
      const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [jobOf(text)]);
      return rows[0]?.draft !== '';
    }, 'a checkpoint');
  const called = (text: string): Promise<unknown> =>
    until(async () => (await stack.model.calls(text)).length > 0, `the call of ${text}`);
  const outcomeOf = async (text: string): Promise<string | undefined> => (await stack.model.calls(text))[0]?.outcome;

  describe('that is killed', () => {
    let killed: number;
    let pace: Pace;
    beforeAll(async () => {
      await stack.model.script('before the headers', { hang_before_headers: true }, 1);
      await stack.model.script('in mid-stream', STREAM, 1);
      await stack.model.script('after a checkpoint', STREAM, 1);
      await stack.model.script('between two attempts', { status: 529, headers: { 'retry-after': '2' } }, 1);
      await stack.model.script('for the last time', { hang_before_headers: true }, 1);
      await send('after a checkpoint');
      await checkpoint('after a checkpoint');
      for (const text of ['in mid-stream', 'before the headers', 'for the last time']) {
        await send(text);
        await called(text);
      }
      await send('between two attempts');
      await until(
        async () => (await ledgerOf(stack, jobOf('between two attempts')))[0]?.outcome === 'failed',
        'the first attempt',
      );
      // As after four lost attempts.
      await stack.database.query('UPDATE jobs SET attempts_left = 0 WHERE id = $1', [jobOf('for the last time')]);
      // The last statement waits for the chat's row, which another session locks.
      const holder = await stack.database.connect();
      await holder.query('BEGIN');
      await send('at the end');
      await holder.query('SELECT 1 FROM chats WHERE user_id = $1 FOR UPDATE', ['at the end']);
      await until(async () => (await outcomeOf('at the end')) === 'completed', 'the reply that cannot be written');
      await pause(200);
      pace = await Pace.watch();
      await currentWorker().kill();
      killed = Date.now();
      await holder.query('COMMIT');
      holder.release();
      await replaceWorker();
    });

    it.each(['before the headers', 'in mid-stream', 'after a checkpoint', 'between two attempts', 'at the end'])(
      '%s: its turn goes on elsewhere within 15 s, and has one reply',
      async (moment) => {
        const job = await final(moment);
        expect(job).toMatchObject({ status: 'succeeded', assistant_message: { status: 'complete' } });
        expect(job.assistant_message?.content).not.toContain('first');
        const [first, second] = await ledgerOf(stack, job.id);
        // The database had received the last statement before the worker died, and carries it out.
        if (moment === 'at the end') return expect(first?.outcome).toBe('completed');
        expect((second?.started_at.getTime() ?? Infinity) - killed).toBeLessThan(pace.bound(BOUND_MS));
        expect(first?.outcome).toBe(moment === 'between two attempts' ? 'failed' : 'lost');
      },
    );

    it('leaves in the ledger the tokens that the model had reported by the last checkpoint', async () => {
      const [lost] = await ledgerOf(stack, jobOf('after a checkpoint'));
      const [call] = await stack.model.calls('after a checkpoint');
      expect(lost).toMatchObject({ message_id: call?.id, outcome: 'lost' });
      expect(lost?.input_tokens).toBeGreaterThan(0);
    });

    it('during the last attempt of a turn: the turn ends `failed` with a code, and the chat goes on', async () => {
      const job = await final('for the last time');
      expect(job).toMatchObject({
        status: 'failed',
        error: { code: 'attempts_exhausted' },
        assistant_message: null,
      });
      expect(Date.parse(job.finished_at ?? '') - killed).toBeLessThan(pace.bound(BOUND_MS));
      const user = stack.as('for the last time');
      expect((await user.turn((await user.chat()).id, 'after that')).status).toBe(200);
    });
  });

  describe('that is frozen past its lease, and goes on', () => {
    let frozen: App;
    let thawed: number;
    let pace: Pace;
    const ended = new Map<string, Job>();
    beforeAll(async () => {
      for (const [text, script] of [
        ['frozen in mid-stream', STREAM],
        ['frozen before the end', { pieces: ['late ', 'reply'], piece_delay_ms: 1_500 }],
      ] as const) {
        await stack.model.script(text, script, 1);
        await stack.model.script(text, { text: 'the second attempt' });
      }
      await send('frozen in mid-stream');
      await checkpoint('frozen in mid-stream');
      await send('frozen before the end');
      await called('frozen before the end');
      frozen = currentWorker();
      frozen.freeze();
      await replaceWorker();
      for (const text of ['frozen in mid-stream', 'frozen before the end']) ended.set(text, await final(text));
      expect(await outcomeOf('frozen in mid-stream')).toBe('running');
      pace = await Pace.watch();
      frozen.thaw();
      thawed = Date.now();
    });

    it('does not keep its model call running', async () => {
      await until(async () => (await outcomeOf('frozen in mid-stream')) === 'client_closed', 'the end of the call');
      expect(Date.now() - thawed).toBeLessThan(pace.bound(5_000));
    });

    it.each(['frozen in mid-stream', 'frozen before the end'])('writes nothing: %s', async (text) => {
      await until(async () => frozen.output().match(/fenced off|attempt stops \(lost\)/g)?.length === 2, 'the fence');
      await pause(500);
      expect(ended.get(text)).toMatchObject({ status: 'succeeded', attempts: 2 });
      expect(ended.get(text)?.assistant_message?.content).toBe('the second attempt');
      expect((await stack.as(text).get(`/api/v1/jobs/${jobOf(text)}`)).body).toEqual(ended.get(text));
      const [first, second] = await ledgerOf(stack, jobOf(text));
      expect([first?.outcome, second?.outcome]).toEqual(['lost', 'completed']);
      // The call was billed, so the ledger has it.
      expect(first?.message_id).toBe((await stack.model.calls(text))[0]?.id);
    });

    it('takes turns again, and stops on SIGTERM', async () => {
      expect((await stack.as('later').turn((await stack.as('later').chat()).id, 'later')).status).toBe(200);
      expect(await frozen.stop()).toBe(0);
    });
  });

  it('that does not come within an hour: the turn is given up', async () => {
    await currentWorker().stop();
    await send('too old');
    await send('just in time');
    const age = (text: string, by: string): Promise<unknown> =>
      stack.database.query('UPDATE jobs SET created_at = created_at - $2::interval WHERE id = $1', [jobOf(text), by]);
    await age('too old', '60 minutes');
    await age('just in time', '59 minutes');
    await replaceWorker();
    expect(await final('too old')).toMatchObject({ status: 'failed', attempts: 0, error: { code: 'expired' } });
    expect((await final('just in time')).status).toBe('succeeded');
    expect(await stack.model.calls('too old')).toHaveLength(0);
  });
});
