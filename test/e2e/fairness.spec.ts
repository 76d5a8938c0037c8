import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { manyChats } from '../support/many-chats.js';
import type { Stack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';

describe('workers are shared among users', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1, workerEnv: { WORKER_CONCURRENCY: '1' } });
  });
  afterAll(() => stopSound(stack));

  it('hundreds of turns of one user delay another’s by about one turn, and none waits for ever', async () => {
    await stack.model.script('of the flood', { text: 'Yes.', delay_ms: 10 });
    const chats = await manyChats(stack.database, 'flood', 400);
    const flood = stack.as('flood');
    for (let at = 0; at < chats.length; at += 50) {
      await Promise.all(chats.slice(at, at + 50).map((chat) => flood.turnAsync(chat, 'of the flood')));
    }
    const waiting = await stack.database.query(`SELECT FROM jobs WHERE user_id = 'flood' AND status = 'queued'`);
    expect(waiting.rowCount).toBeGreaterThan(100);
    // One user sends turns one after the other, and another sends three at once.
    const one = stack.as('one');
    const { id } = await one.chat();
    for (let n = 0; n < 5; n++) expect((await one.turn(id, `turn ${n}`)).status).toBe(200);
    const three = await manyChats(stack.database, 'three', 3);
    await Promise.all(three.map((chat) => stack.as('three').turn(chat, 'all at once')));
    const { rows } = await stack.database.query(
      `SELECT j.user_id, (SELECT count(*)::int FROM jobs f
                           WHERE f.user_id = 'flood' AND f.started_at BETWEEN j.created_at AND j.started_at) AS before
         FROM jobs j WHERE j.user_id IN ('one', 'three') ORDER BY j.started_at`,
    );
    const before = (user: string): number[] => rows.filter((r) => r.user_id === user).map((r) => r.before as number);
    // Every eighth job claimed is the one that has waited longest, and one more may have begun at that very moment.
    expect(Math.max(...before('one'))).toBeLessThanOrEqual(3);
    expect(Math.max(...before('three'))).toBeLessThanOrEqual(6);
    const left = await stack.database.query(`SELECT FROM jobs WHERE user_id = 'flood' AND status = 'queued'`);
    expect(left.rowCount).toBeGreaterThan(0);
    const ended = await Promise.all(
      (await stack.database.query(`SELECT id FROM jobs WHERE user_id = 'flood'`)).rows.map(({ id: job }) =>
        flood.finalJob(job as string),
      ),
    );
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
    // Jobs that wait in a long line are not lost.
    expect(stack.workers[0]?.output()).not.toContain('no worker has claimed');
  });
});
