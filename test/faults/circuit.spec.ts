import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { onQueue } from '../support/queue.js';
import type { Stack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const TURNS = 30;

/** In milliseconds. A turn without the circuit would spend its two attempts in a second. */
const OUTAGE_MS = 6_000;

describe('an outage of the model', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(() => stopSound(stack));

  it('burns no attempts: the turns wait, few calls are made, and all turns are answered when it is over', async () => {
    // This reply began before the outage. It goes on during it, and must not hide it.
    await stack.model.script('an endless reply', { pieces: Array(2_000).fill('word '), piece_delay_ms: 20 });
    const before = await stack.as('before').turnAsync((await stack.as('before').chat()).id, 'an endless reply');
    await until(async () => (await stack.model.allCalls()).length === 1, 'the reply');
    await stack.model.script('outage', { status: 529, error_type: 'overloaded_error' });
    const users = Array.from({ length: TURNS }, (_, n) => stack.as(`user-${n}`));
    const jobs = await Promise.all(
      users.map(async (user, n) => user.turnAsync((await user.chat()).id, `in the outage, ${n}`)),
    );
    await stack.database.query('UPDATE jobs SET attempts_left = least(attempts_left, 2) WHERE id <> $1', [before.id]);
    const begun = Date.now();
    await until(async () => stack.workers[0]?.output().includes('the model is away'), 'the circuit');
    // A waiting turn is canceled at once, and the model never gets it.
    const [first] = users;
    const canceled = await first?.patch(`/api/v1/jobs/${jobs[0]?.id}`, { status: 'canceled' });
    expect(canceled?.body.status).toBe('canceled');
    await pause(OUTAGE_MS - (Date.now() - begun));
    // The turns wait in PostgreSQL, without tickets.
    expect(await onQueue(stack, (queue) => queue.getJobCountByTypes('waiting', 'delayed'))).toBeLessThan(TURNS);

    const calls = (await stack.model.allCalls()).length - 1;
    // One call for each turn at most, and a few probes. Without the circuit every turn would have failed by now.
    expect(calls).toBeLessThan(TURNS + 12);
    const { rows } = await stack.database.query(
      `SELECT status, count(*)::int AS n FROM jobs WHERE id <> $1 GROUP BY status`,
      [before.id],
    );
    const now = Object.fromEntries(rows.map(({ status, n }) => [status as string, n as number]));
    expect(now).toMatchObject({ canceled: 1 });
    expect((now['queued'] ?? 0) + (now['running'] ?? 0)).toBe(TURNS - 1);

    await stack.model.clearScripts();
    const ended = await Promise.all(users.slice(1).map((user, n) => user.finalJob(jobs[n + 1]?.id ?? '')));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
    expect(stack.workers[0]?.output()).toContain('the model is back');
    // Workers claimed all of them without the reconciler's help.
    expect(stack.workers[0]?.output()).not.toContain('no worker has claimed');
    await stack.as('before').patch(`/api/v1/jobs/${before.id}`, { status: 'canceled' });
  });

  it('does not begin because one turn always fails: others go on beside it', async () => {
    const [unlucky, other] = [stack.as('unlucky'), stack.as('other')];
    await stack.model.script('bad luck', { status: 500, error_type: 'api_error' });
    const job = await unlucky.turnAsync((await unlucky.chat()).id, 'bad luck');
    await stack.database.query('UPDATE jobs SET attempts_left = 2 WHERE id = $1 AND attempts_left > 2', [job.id]);
    const chat = await other.chat();
    for (let n = 0; n < 10; n++) expect((await other.turn(chat.id, `beside it, ${n}`)).status).toBe(200);
    expect(await unlucky.finalJob(job.id)).toMatchObject({ status: 'failed', error: { code: 'model_unavailable' } });
  });

  it('keeps no worker from stopping, and no waiting turn from going on elsewhere', async () => {
    const [worker] = stack.workers;
    await stack.model.script('held', { status: 529, error_type: 'overloaded_error' }, 12);
    const users = Array.from({ length: 12 }, (_, n) => stack.as(`held-${n}`));
    const jobs = await Promise.all(
      users.map(async (user, n) => user.turnAsync((await user.chat()).id, `held up, ${n}`)),
    );
    await until(async () => (worker?.output().match(/the model is away/g)?.length ?? 0) > 1, 'the circuit, once more');
    const next = await stack.startWorker();
    expect(await worker?.stop()).toBe(0);
    const ended = await Promise.all(users.map((user, n) => user.finalJob(jobs[n]?.id ?? '')));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
    await next.stop();
  });
});
