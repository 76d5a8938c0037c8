import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource, EntityManager } from 'typeorm';
import { newId } from '#database/ids.js';
import { acceptTurn } from '#jobs/accept.js';
import { endOrphans, NO_FIGURES, settleCall } from '#jobs/ledger.js';
import { claim, type ClaimedJob, claimProbe, type Probing } from '#jobs/claim.js';
import { extend, type Extended } from '#jobs/extend.js';
import { decide } from '#jobs/decisions.js';
import { commitStep, purgeSteps } from '#jobs/steps.js';
import { Definitions } from '#jobs/definitions.js';
import { NO_BUDGETS } from '#limits/budgets.js';
import { NO_LIMITS, reachedLimit } from '#limits/user-limits.js';
import { abandonedJobs, endExpired, endSpent } from '#jobs/reconcile.js';
import { readJob } from '#jobs/read.js';
import { MOST_FREE_ATTEMPTS } from '#jobs/timings.js';
import { cancel } from '#jobs/cancel.js';
import { finish, giveUp, handBack } from '#jobs/transitions.js';
import { type StatementsDatabase, startStatementsDatabase } from '../support/statements-database.js';
import { until } from '../support/until.js';
import { waitingTurns } from '../support/waiting-turns.js';

const REPLY = {
  content: 'late',
  model: 'm',
  stopReason: 'end_turn',
  status: 'complete',
  stopDetails: null,
  steps: 0,
  lastText: 'late',
  windowFromSeq: null,
  otherParts: null,
  contextTokens: null,
  leftOut: false,
} as const;
const FIGURES = { ...NO_FIGURES, messageId: 'msg_late', inputTokens: 1, outputTokens: 1, firstTextMs: 1 };

/** Calls the statements themselves: a whole service would reach these situations only by luck. */
describe('the transitions of a job', () => {
  let database: StatementsDatabase;
  let source: DataSource;
  beforeAll(async () => {
    database = await startStatementsDatabase(5);
    ({ source } = database);
  });
  afterAll(() => database?.stop());

  const accepted = async (): Promise<{ jobId: string; chatId: string; userId: string }> => {
    const [chatId, jobId, userId] = [newId(), newId(), newId()];
    await source.query(`INSERT INTO chats (id, user_id, assistant_slug, status) VALUES ($1, $2, 'a', 'active')`, [
      chatId,
      userId,
    ]);
    await acceptTurn(source.manager, {
      jobId,
      chatId,
      userId,
      assistantSlug: undefined,
      content: 'hello',
      metadata: {},
      requestId: 'r',
      requestKey: undefined,
    });
    return { jobId, chatId, userId };
  };
  /** Claims one job. It is this one, if its attempt was lost. */
  const claimed = async (jobId: string): Promise<ClaimedJob | undefined> =>
    (await claim(source.manager, { most: 1, lost: [jobId] })).jobs[0];
  /** A heartbeat of one attempt. */
  const beat = async (jobId: string, attempt: number, text: string, at: number): Promise<Extended | undefined> =>
    (await extend(source.manager, [{ jobId, attempt, step: 1, text, at }]))[0];
  const row = async (jobId: string): Promise<any> =>
    (await source.query('SELECT * FROM jobs WHERE id = $1', [jobId]))[0];
  const expire = (jobId: string): Promise<unknown> =>
    source.query(`UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1`, [jobId]);

  it('write a part of the draft once, even if the answer was lost and it is written again', async () => {
    const { jobId } = await accepted();
    await claimed(jobId);
    expect(await beat(jobId, 1, 'uno 😀 ', 0)).toBe('extended');
    expect(await beat(jobId, 1, 'uno 😀 dos ', 0)).toBe('extended');
    // A heartbeat that was given up, and is carried out late.
    expect(await beat(jobId, 1, 'uno 😀 ', 0)).toBe('extended');
    expect(await beat(jobId, 1, 'tres', 10)).toBe('extended');
    expect(await beat(jobId, 1, '', 14)).toBe('extended');
    expect((await row(jobId)).draft).toBe('uno 😀 dos tres');
  });

  it('save the other parts of a step with its text, never older ones over newer ones, and only for the attempt that runs', async () => {
    const [{ jobId }, plain] = [await accepted(), await accepted()];
    await claimed(jobId);
    await claimed(plain.jobId);
    const save = async (attempt: number, step: number, reasoning: string): Promise<Extended[]> =>
      extend(source.manager, [
        { jobId: plain.jobId, attempt: 1, step: 1, text: '', at: 0 },
        { jobId, attempt, step, text: '', at: 0, otherParts: JSON.stringify([{ type: 'reasoning', text: reasoning }]) },
      ]);
    const saved = (): Promise<unknown> =>
      source.query(`SELECT attempt, step, parts -> 0 ->> 'text' AS text FROM draft_parts ORDER BY job_id`);
    expect(await save(1, 1, 'one')).toEqual(['extended', 'extended']);
    expect(await save(1, 1, 'one two')).toEqual(['extended', 'extended']);
    // A heartbeat that was given up, and is carried out late.
    await save(1, 1, 'one');
    expect(await saved()).toEqual([{ attempt: 1, step: 1, text: 'one two' }]);
    await save(1, 2, 'x');
    await save(1, 1, 'one two three');
    expect(await saved()).toEqual([{ attempt: 1, step: 2, text: 'x' }]);
    await expire(jobId);
    await claimed(jobId);
    expect(await save(1, 2, 'x of a lost attempt')).toEqual(['extended', 'lost']);
    await save(2, 1, 'again');
    expect(await saved()).toEqual([{ attempt: 2, step: 1, text: 'again' }]);
    // An attempt without such parts ends the turn; a worker clears what is left.
    expect(await finish(source.manager, jobId, 2, REPLY, FIGURES)).toBeDefined();
    expect(await saved()).toHaveLength(1);
    await purgeSteps(source.manager);
    expect(await saved()).toEqual([]);
  });

  it('extend many leases in one statement: neither a locked row nor a fence keeps the others', async () => {
    const [held, spoken, gone, runs] = [await accepted(), await accepted(), await accepted(), await accepted()];
    const jobs = [held, spoken, gone, runs];
    for (const { jobId } of jobs) {
      await claimed(jobId);
      await source.query(`UPDATE jobs SET lease_until = now() + interval '1 s' WHERE id = $1`, [jobId]);
    }
    await expire(gone.jobId);
    await claimed(gone.jobId);
    const beats = jobs.map(({ jobId }) => ({ jobId, attempt: 1, step: 1, text: `of ${jobId}`, at: 0, news: FIGURES }));
    const holder = source.createQueryRunner();
    await holder.startTransaction();
    await holder.query('SELECT FROM jobs WHERE id = $1 FOR UPDATE', [held.jobId]);
    await holder.query('SELECT FROM model_calls WHERE job_id = $1 FOR UPDATE', [spoken.jobId]);
    expect(await extend(source.manager, beats)).toEqual(['busy', 'busy', 'lost', 'extended']);
    await holder.rollbackTransaction();
    await holder.release();
    const state = (): Promise<unknown[]> =>
      source.query(
        `SELECT draft, lease_until > now() + interval '5 s' AS extended, message_id
           FROM jobs JOIN model_calls c ON c.job_id = jobs.id AND c.attempt = 1 WHERE jobs.id = ANY($1) ORDER BY jobs.id`,
        [jobs.map(({ jobId }) => jobId)],
      );
    const done = ({ jobId }: { jobId: string }) => ({ draft: `of ${jobId}`, extended: true, message_id: 'msg_late' });
    // The other attempt's job is not changed: its lease is that attempt's own.
    const fenced = { draft: '', extended: true, message_id: null };
    expect(await state()).toEqual([
      { draft: '', extended: false, message_id: null },
      { ...done(spoken), message_id: null },
      fenced,
      done(runs),
    ]);
    // The heartbeats are sent again, and the one that was kept waiting is written.
    expect(await extend(source.manager, beats)).toEqual(['extended', 'extended', 'lost', 'extended']);
    expect(await state()).toEqual([done(held), done(spoken), fenced, done(runs)]);
  });

  /** How many sessions wait for a lock. */
  const waitingForLocks = async (): Promise<number> =>
    (await source.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`))
      .length;

  it('have the time at which they happened, not that at which their statement began to wait for a lock', async () => {
    const { jobId, chatId, userId } = await accepted();
    const holder = source.createQueryRunner();
    await holder.startTransaction();
    await holder.query('SELECT FROM chats WHERE id = $1 FOR UPDATE', [chatId]);
    const canceled = cancel(source.manager, jobId, userId);
    await until(async () => (await waitingForLocks()) === 1, 'the cancel to wait for the chat');
    await claimed(jobId);
    await holder.rollbackTransaction();
    await holder.release();
    await canceled;
    const { status, started_at: started, finished_at: finished } = await row(jobId);
    expect(status).toBe('canceled');
    expect(finished.getTime()).toBeGreaterThanOrEqual(started.getTime());
  });

  it('end the entry of their own attempt in the ledger, even if an earlier one is still open', async () => {
    const { jobId } = await accepted();
    await claimed(jobId);
    await expire(jobId);
    await claimed(jobId);
    await source.query(`UPDATE model_calls SET outcome = 'running', ended_at = NULL WHERE job_id = $1`, [jobId]);
    expect(await finish(source.manager, jobId, 2, REPLY, FIGURES)).toBeDefined();
    const lines = (): Promise<unknown> =>
      source.query('SELECT attempt, outcome, message_id FROM model_calls WHERE job_id = $1 ORDER BY attempt', [jobId]);
    expect(await lines()).toEqual([
      { attempt: 1, outcome: 'running', message_id: null },
      { attempt: 2, outcome: 'completed', message_id: 'msg_late' },
    ]);
    await settleCall(source.manager, jobId, 1, 1, { ...FIGURES, messageId: 'msg_first' });
    await settleCall(source.manager, jobId, 2, 1, { ...FIGURES, messageId: 'msg_other' });
    expect(await lines()).toEqual([
      { attempt: 1, outcome: 'lost', message_id: 'msg_first' },
      { attempt: 2, outcome: 'completed', message_id: 'msg_late' },
    ]);
  });

  const STEP = {
    step: 0,
    content: [{ type: 'text', text: 'So far' }],
    stopReason: 'pause_turn',
    text: 'So far',
    draft: 'So far',
    windowFromSeq: 1,
    otherParts: null,
    calls: [],
    seconds: undefined,
  };
  const entries = (jobId: string): Promise<unknown> =>
    source.query('SELECT attempt, step, outcome FROM model_calls WHERE job_id = $1 ORDER BY attempt, step', [jobId]);

  it('commit a step once, though the answer got lost and it is committed again, also while the first is under way', async () => {
    const { jobId } = await accepted();
    await claimed(jobId);
    await source.query('UPDATE jobs SET attempts_left = 1, free_attempts = 7 WHERE id = $1', [jobId]);
    const runner = source.createQueryRunner();
    await runner.startTransaction();
    expect(await commitStep(runner.manager, jobId, 1, STEP, FIGURES)).toBe(true);
    const again = commitStep(source.manager, jobId, 1, STEP, FIGURES);
    await until(async () => (await waitingForLocks()) > 0, 'the second commit in line');
    await runner.commitTransaction();
    await runner.release();
    expect(await again).toBe(true);
    expect(await row(jobId)).toMatchObject({
      step: 1,
      draft: 'So far',
      window_from_seq: 1,
      attempts_left: 5,
      free_attempts: 0,
    });
    expect(await source.query('SELECT step, text, ends_at FROM steps WHERE job_id = $1', [jobId])).toEqual([
      { step: 1, text: 'So far', ends_at: 6 },
    ]);
    expect(await entries(jobId)).toEqual([
      { attempt: 1, step: 1, outcome: 'completed' },
      { attempt: 1, step: 2, outcome: 'running' },
    ]);
    await expire(jobId);
    expect(await claimed(jobId)).toMatchObject({ attempt: 2, steps: [{ text: 'So far', stopReason: 'pause_turn' }] });
    expect(await commitStep(source.manager, jobId, 1, { ...STEP, step: 1 }, FIGURES)).toBe(false);
  });

  it('commit a step that only a person can go on with, and the wait, once and together', async () => {
    const { jobId, userId } = await accepted();
    await claimed(jobId);
    const call = {
      id: newId(),
      providerId: 'toolu_1',
      name: 'refund',
      input: {},
      result: null,
      isError: false,
    } as const;
    const step = {
      ...STEP,
      stopReason: 'tool_use',
      calls: [{ ...call, status: 'awaiting_approval' as const }],
      seconds: 60,
    };
    expect(await commitStep(source.manager, jobId, 1, step, FIGURES)).toBe(true);
    const waiting = await row(jobId);
    expect(waiting).toMatchObject({
      status: 'requires_action',
      step: 1,
      lease_until: null,
      draft: 'So far',
      kept: 'So far',
    });
    expect(waiting.action_expires_at.getTime() - waiting.action_since.getTime()).toBe(60_000);
    // The answer got lost, and the worker commits once more.
    expect(await commitStep(source.manager, jobId, 1, step, FIGURES)).toBe(true);
    expect(await row(jobId)).toEqual(waiting);
    expect(await entries(jobId)).toEqual([{ attempt: 1, step: 1, outcome: 'completed' }]);
    const said = { decision: 'approve' } as const;
    const checked = async (): Promise<{ awaitsResult: boolean }> => ({ awaitsResult: false });
    const decision = { jobId, callId: call.id, userId, by: userId, said };
    expect(await decide(source.manager, decision, checked)).toMatchObject({ refused: false, dueAttempt: 2 });
    expect(await commitStep(source.manager, jobId, 1, step, FIGURES)).toBe(false);
    expect(await claimed(jobId)).toMatchObject({ attempt: 2, steps: [{ calls: [{ id: call.id, status: 'queued' }] }] });
  });

  it('cancel a turn whose step is committed at that moment with all that the step has left', async () => {
    const { jobId, userId } = await accepted();
    await claimed(jobId);
    const runner = source.createQueryRunner();
    await runner.startTransaction();
    await commitStep(runner.manager, jobId, 1, STEP, { ...FIGURES, estimated: true });
    const canceling = cancel(source.manager, jobId, userId);
    await until(async () => (await waitingForLocks()) > 0, 'the cancel in line');
    await runner.commitTransaction();
    await runner.release();
    expect(await canceling).toMatchObject({ status: 'canceled' });
    expect(
      await source.query('SELECT content, usage_estimated, input_tokens FROM messages WHERE job_id = $1', [jobId]),
      // Of the second call nothing is known, so its prompt counts as what the first had in and out.
    ).toEqual([
      { content: 'So far', usage_estimated: true, input_tokens: 2 * FIGURES.inputTokens + FIGURES.outputTokens },
    ]);
    expect(await entries(jobId)).toEqual([
      { attempt: 1, step: 1, outcome: 'completed' },
      { attempt: 1, step: 2, outcome: 'canceled' },
    ]);
    expect(await source.query('SELECT FROM steps WHERE job_id = $1', [jobId])).toEqual([]);
    // A second cancel finds the end at its first try, although the steps are gone.
    let asked = 0;
    const query = (...args: [string, unknown[]]): Promise<unknown> => ((asked += 1), source.query(...args));
    expect(await cancel({ query } as unknown as EntityManager, jobId, userId)).toBeUndefined();
    expect(asked).toBe(1);
  });

  it('leave no entry of the ledger open without an attempt, and end none whose attempt runs', async () => {
    const [over, another, runs, fresh] = [await accepted(), await accepted(), await accepted(), await accepted()];
    /** As if its end had not been written. */
    const open = (jobId: string, age: string): Promise<unknown> =>
      source.query(
        `UPDATE model_calls SET outcome = 'running', ended_at = NULL, started_at = now() - $2::interval WHERE job_id = $1`,
        [jobId, age],
      );
    for (const { jobId } of [over, another, runs, fresh]) await claimed(jobId);
    await cancel(source.manager, over.jobId, over.userId);
    await expire(another.jobId);
    await claimed(another.jobId);
    await cancel(source.manager, fresh.jobId, fresh.userId);
    for (const { jobId } of [over, another, runs]) await open(jobId, '6 seconds');
    // The worker that began it may be about to end it.
    await open(fresh.jobId, '0 seconds');
    await endOrphans(source.manager);
    const outcomes = async ({ jobId }: { jobId: string }): Promise<unknown[]> =>
      (
        await source.query<{ outcome: string }[]>(
          'SELECT outcome FROM model_calls WHERE job_id = $1 ORDER BY attempt',
          [jobId],
        )
      ).map(({ outcome }) => outcome);
    expect(await outcomes(over)).toEqual(['canceled']);
    expect(await outcomes(another)).toEqual(['lost', 'running']);
    expect(await outcomes(runs)).toEqual(['running']);
    expect(await outcomes(fresh)).toEqual(['running']);
  });

  it('let one of many simultaneous claims through, and none before the lease has run out', async () => {
    const { jobId } = await accepted();
    const claims = await Promise.all(Array.from({ length: 10 }, () => claimed(jobId)));
    expect(claims.filter(Boolean)).toHaveLength(1);
    expect(await claimed(jobId)).toBeUndefined();
    await expire(jobId);
    expect((await claimed(jobId))?.attempt).toBe(2);
  });

  it('refuse every write of an attempt that is no longer the job’s', async () => {
    const { jobId, chatId } = await accepted();
    await claimed(jobId);
    await expire(jobId);
    await claimed(jobId);
    const before = await row(jobId);
    const fault = {
      code: 'internal',
      message: 'late',
      most: 5,
      steps: 0,
      definitionUnusable: false,
      leavesOut: false,
      free: false,
      delayMs: 0,
    } as const;
    expect([
      await beat(jobId, 1, 'late', 0),
      await finish(source.manager, jobId, 1, REPLY, FIGURES),
      await giveUp(source.manager, jobId, 1, fault, FIGURES),
      await handBack(source.manager, jobId, 1, FIGURES, { uptimeSeconds: 0, stoppingSeconds: 0 }),
    ]).toEqual(['lost', undefined, undefined, false]);
    expect(await row(jobId)).toEqual(before);
    expect(await source.query('SELECT count(*)::int AS n FROM messages WHERE chat_id = $1', [chatId])).toEqual([
      { n: 1 },
    ]);
  });

  it('leave jobs that a stopping worker hands back to new workers for some seconds', async () => {
    await source.query(
      `UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = now() WHERE finished_at IS NULL`,
    );
    const withheld = { models: ['x'], assistants: [] };
    const jobs = [await accepted(), await accepted(), await accepted()].map(({ jobId }) => jobId);
    const [first = '', second = '', third = ''] = jobs;
    for (const jobId of jobs) await claimed(jobId);
    /** Handed back by a worker that got SIGTERM 100 s ago, after 400 s of life. Workers that started in the last 200 s are new. */
    const handedBack = (jobId: string): Promise<boolean> =>
      handBack(source.manager, jobId, 1, FIGURES, { uptimeSeconds: 500, stoppingSeconds: 100 });
    await handedBack(first);
    const nobodys = { jobs: [], more: false };
    expect(await claim(source.manager, { most: 7, uptimeSeconds: 210 })).toEqual(nobodys);
    expect(await claim(source.manager, { most: 1, order: 'oldest', uptimeSeconds: 210 })).toEqual(nobodys);
    expect(await claim(source.manager, { most: 7, withheld, uptimeSeconds: 210 })).toEqual(nobodys);
    const probing = { withheld, definitions: new Definitions(), afresh: false, run: [] };
    expect(await claimProbe(source.manager, { ...probing, uptimeSeconds: 210 })).toBeUndefined();
    expect(await claim(source.manager, { most: 7, uptimeSeconds: 190 })).toMatchObject({ jobs: [{ id: first }] });
    await handedBack(second);
    await handedBack(third);
    expect(await claim(source.manager, { most: 1, withheld, uptimeSeconds: 190 })).toMatchObject({
      jobs: [{ id: second }],
      more: true,
    });
    await source.query(`UPDATE jobs SET available_at = available_at - interval '6 s' WHERE id = $1`, [third]);
    expect(await claim(source.manager, { most: 7, uptimeSeconds: 210 })).toMatchObject({ jobs: [{ id: third }] });
    // The next claim removes the mark, so any worker may take the next attempt.
    expect((await row(third)).left_to_workers_since).toBeNull();
  });

  it('change nothing in a final state, whatever comes late', async () => {
    const { jobId, userId } = await accepted();
    await claimed(jobId);
    await beat(jobId, 1, 'so far', 0);
    expect(await cancel(source.manager, jobId, userId)).toEqual({
      status: 'canceled',
      assistant: expect.any(String),
      seconds: expect.any(Number),
    });
    const before = await row(jobId);
    expect([
      await finish(source.manager, jobId, 1, REPLY, FIGURES),
      await beat(jobId, 1, 'late', 6),
      await cancel(source.manager, jobId, userId),
      await claimed(jobId),
    ]).toEqual([undefined, 'lost', undefined, undefined]);
    expect(await row(jobId)).toEqual(before);
    expect(await source.query('SELECT content, status FROM messages WHERE job_id = $1', [jobId])).toEqual([
      { content: 'so far', status: 'incomplete' },
    ]);
  });

  it('pass over withheld jobs, and probe with the job that has had the fewest attempts', async () => {
    await source.query(
      `UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = now() WHERE finished_at IS NULL`,
    );
    const jobs = [await accepted(), await accepted(), await accepted()];
    const ids = jobs.map(({ jobId }) => jobId);
    await source.query('UPDATE jobs SET attempts = 2 WHERE id = ANY ($1)', [ids.slice(0, 2)]);
    const withheld = { models: ['m'], assistants: [] };
    expect(await claim(source.manager, { most: 7, withheld })).toEqual({ jobs: [], more: false });
    expect(await claim(source.manager, { most: 7, withheld: { models: [], assistants: ['a'] } })).toMatchObject({
      jobs: [],
    });
    const nothing = { models: [], assistants: [] };
    const probe = (probing: Partial<Probing>) =>
      claimProbe(source.manager, {
        withheld: nothing,
        definitions: new Definitions(),
        afresh: false,
        run: [],
        ...probing,
      });
    for (const only of [{ model: 'other' }, { assistant: 'other' }, { model: 'm', assistant: 'other' }]) {
      expect(await probe({ ...only, withheld: nothing })).toBeUndefined();
    }
    expect(await probe({ withheld })).toBeUndefined();
    const probes = [
      await probe({ model: 'm', withheld: nothing, afresh: true }),
      await probe({ model: 'm', withheld: nothing, afresh: true }),
      await probe({ withheld: nothing }),
    ];
    expect(probes.map((job) => [job?.id, job?.attempt])).toEqual([
      [ids[2], 1],
      [undefined, undefined],
      [ids[0], 3],
    ]);
    // A lost attempt goes first, unless it runs here.
    await expire(ids[2] ?? '');
    expect(await probe({ withheld: nothing, run: [ids[2] ?? ''] })).toMatchObject({ id: ids[1] });
    expect(await probe({ withheld: nothing })).toMatchObject({ id: ids[2], takenOver: true });
    jobs.push(await accepted());
    const others = await claim(source.manager, { most: 7, withheld: { models: ['x'], assistants: ['y'] } });
    expect(others.jobs.map(({ id }) => id)).toEqual([jobs.at(-1)?.jobId]);
  });

  it('let a job fail only a few times in the same way, and count free attempts apart', async () => {
    const fail = async (
      jobId: string,
      fault: { code: 'answer_empty' | 'model_unavailable'; most: number; free?: boolean },
    ) => {
      const { attempts } = await row(jobId);
      const failed = {
        steps: 0,
        message: 'm',
        definitionUnusable: false,
        leavesOut: false,
        free: false,
        delayMs: 0,
        ...fault,
      };
      const state = (await giveUp(source.manager, jobId, attempts as number, failed, NO_FIGURES))?.status;
      if (state === 'queued') await source.query('UPDATE jobs SET available_at = now() WHERE id = $1', [jobId]);
      return state;
    };
    const again = async (jobId: string): Promise<void> => {
      expect((await claimed(jobId))?.id).toBe(jobId);
    };
    const { jobId } = await accepted();
    await again(jobId);
    expect(await fail(jobId, { code: 'answer_empty', most: 2 })).toBe('queued');
    await again(jobId);
    expect(await fail(jobId, { code: 'model_unavailable', most: 5 })).toBe('queued');
    await again(jobId);
    expect(await fail(jobId, { code: 'answer_empty', most: 2 })).toBe('failed');

    const other = await accepted();
    for (let n = 1; n <= 2; n++) {
      await again(other.jobId);
      expect(await fail(other.jobId, { code: 'model_unavailable', most: 1, free: true })).toBe('queued');
      expect(await row(other.jobId)).toMatchObject({ attempts: n, attempts_left: 5, free_attempts: n });
    }
    await source.query('UPDATE jobs SET free_attempts = $2 WHERE id = $1', [other.jobId, MOST_FREE_ATTEMPTS]);
    await again(other.jobId);
    expect(await fail(other.jobId, { code: 'model_unavailable', most: 1, free: true })).toBe('failed');
  });

  it('claim several jobs at once, in their order and each with its history, and say whether more are due', async () => {
    await source.query(
      `UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = now() WHERE finished_at IS NULL`,
    );
    const jobs = [await accepted(), await accepted(), await accepted()];
    await expire((await claimed(newId()))?.id ?? '');
    const first = await claim(source.manager, { most: 2 });
    expect(first).toMatchObject({ more: false, jobs: jobs.slice(1).map(({ jobId }) => ({ id: jobId, attempt: 1 })) });
    expect(first.jobs.map(({ history }) => history)).toEqual(
      Array(2).fill([{ seq: 1, role: 'user', content: 'hello' }]),
    );
    const lines = await source.query(`SELECT job_id FROM model_calls WHERE outcome = 'running' AND job_id = ANY ($1)`, [
      jobs.map(({ jobId }) => jobId),
    ]);
    expect(lines).toHaveLength(3);
    const late = [await accepted(), await accepted()];
    // A lost attempt goes before them, and then there may be more.
    const lost = await claim(source.manager, { most: 2, lost: jobs.map(({ jobId }) => jobId) });
    expect(lost).toMatchObject({ more: true, jobs: [{ id: jobs[0]?.jobId, attempt: 2, takenOver: true }] });
    expect(await claim(source.manager, { most: 1 })).toMatchObject({ more: true, jobs: [{ id: late[0]?.jobId }] });
    expect(await claim(source.manager, { most: 1 })).toMatchObject({ more: false, jobs: [{ id: late[1]?.jobId }] });
    expect(await claim(source.manager, { most: 1 })).toEqual({ more: false, jobs: [] });
  });

  it('are planned for the first few turns of a connection and never again, whatever their values', async () => {
    const TIMES = 20;
    const runner = source.createQueryRunner();
    const { manager } = runner;
    try {
      for (let n = 0; n < 2 * TIMES; n++) {
        const [chatId, userId, jobId] = [newId(), newId(), newId()];
        await manager.query(`INSERT INTO chats (id, user_id, assistant_slug, status) VALUES ($1, $2, 'a', 'active')`, [
          chatId,
          userId,
        ]);
        const requestKey = n % 3 === 0 ? { key: jobId, fingerprint: Buffer.alloc(32) } : undefined;
        const turn = { jobId, chatId, userId, content: 'hello', metadata: {}, requestId: 'r', requestKey };
        const assistantSlug = n % 2 === 0 ? 'a' : undefined;
        const limits = { turnsPerMinute: 60, unfinishedTurns: n < 5 ? undefined : n };
        const budgets =
          n < TIMES ? NO_BUDGETS : { ...NO_BUDGETS, ...(n % 2 === 0 ? { tokensPerDay: 1e9 } : { costPerDay: 1e9 }) };
        expect(await acceptTurn(manager, { ...turn, assistantSlug }, limits, budgets)).toBeDefined();
        await readJob(manager, jobId, userId);
        const { jobs } = await claim(manager, { most: 1 + (n % 7) });
        for (const { id, attempt } of jobs) await finish(manager, id, attempt, REPLY, FIGURES);
      }
      const statements = await manager.query<{ once: number; each: number; text: string }[]>(
        `SELECT generic_plans::int AS once, custom_plans::int AS each, statement AS text FROM pg_prepared_statements
          WHERE generic_plans + custom_plans >= $1`,
        [TIMES],
      );
      expect(statements.filter(({ text }) => text.includes('INSERT INTO callers')).length).toBe(2);
      expect(statements.length).toBeGreaterThanOrEqual(5);
      for (const { each, text } of statements) if (each > 5) throw new Error(`Planned ${each} times: ${text}`);
    } finally {
      await runner.release();
    }
  });

  it('read a few rows each, even if three thousand turns wait that PostgreSQL’s statistics do not know', async () => {
    await source.query('ALTER TABLE jobs SET (autovacuum_enabled = false)');
    await source.query(
      `UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = now() WHERE finished_at IS NULL`,
    );
    const [chatId, userId] = [newId(), newId()];
    // Most calls were the user's, and before today.
    await source.query(
      `INSERT INTO model_calls (job_id, attempt, model, outcome, started_at, ended_at, user_id, assistant_slug)
       SELECT gen_random_uuid(), 1, 'm', 'completed', now() - interval '3 days' + n * interval '1 s', now(), $1, 'a' FROM generate_series(1, 3000) n`,
      [userId],
    );
    await source.query('ANALYZE');
    await waitingTurns(source, 3_000, 'a');
    await source.query(
      `INSERT INTO chats (id, user_id, assistant_slug, status) SELECT gen_random_uuid(), $1, 'a', 'closed' FROM generate_series(1, 3000)`,
      [userId],
    );
    await source.query(`INSERT INTO chats (id, user_id, assistant_slug, status) VALUES ($1, $2, 'a', 'active')`, [
      chatId,
      userId,
    ]);
    const turn = { chatId, userId, assistantSlug: undefined, content: 'hello', metadata: {}, requestId: 'r' };
    const limits = { ...NO_LIMITS, turnsPerMinute: 60, unfinishedTurns: 10 };
    const budgets = { tokensPerDay: 1_000_000, costPerDay: 100, ofAssistants: true };
    const jobId = newId();
    let begun = '';
    const works: Record<string, (manager: EntityManager) => Promise<unknown>> = {
      accept: (manager) => acceptTurn(manager, { ...turn, jobId, requestKey: undefined }, limits, budgets),
      poll: (manager) => readJob(manager, jobId, userId),
      limits: (manager) => reachedLimit(manager, userId, limits),
      claim: async (manager) => (begun = (await claim(manager, { most: 2 })).jobs[0]?.id ?? ''),
      extend: (manager) => extend(manager, [{ jobId: begun, attempt: 1, step: 1, text: 'so far', at: 0 }]),
      finish: (manager) => finish(manager, begun, 1, REPLY, FIGURES),
      'claim the oldest': (manager) => claim(manager, { most: 1, order: 'oldest' }),
      cancel: (manager) => cancel(manager, jobId, userId),
      'end the expired': endExpired,
      'end the spent': endSpent,
      abandoned: abandonedJobs,
    };
    const read = async (manager: EntityManager): Promise<number> => {
      const [{ rows }] = await manager.query<[{ rows: number }]>(
        `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int AS rows FROM pg_stat_xact_user_tables
          WHERE relname IN ('jobs', 'model_calls', 'chats')`,
      );
      return rows;
    };
    for (const [name, work] of Object.entries(works)) {
      const rows = await source.transaction(async (manager) => {
        const before = await read(manager);
        const done = await work(manager);
        if (name !== 'limits' && !done) throw new Error(`${name}: nothing was done.`);
        return (await read(manager)) - before;
      });
      if (rows > 100) throw new Error(`${name}: ${rows} rows were read.`);
    }
  });
});
