import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PoolClient } from 'pg';
import { borrowStack } from '../support/borrow-stack.js';
import type { Answer } from '../support/client.js';
import type { App } from '../support/processes.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { Client } from '../support/client.js';
import { until } from '../support/until.js';

/** Requests that meet at one moment: a lock holds them there, one behind the other, and then lets them go. */
describe('requests at once', () => {
  let stack: Stack;
  /** A second API, because within one, requests that lock the same chat wait for each other before they reach PostgreSQL. */
  let other: App;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 0 });
    other = await stack.startApi();
  });
  afterAll(() => stack.stop());

  /** Sends requests while `lock` is held, each once the earlier ones wait. `meanwhile` runs under the lock. @returns their answers */
  const heldUp = async (
    lock: string,
    requests: (() => Promise<Answer>)[],
    meanwhile: (holder: PoolClient) => Promise<unknown> = () => Promise.resolve(),
  ): Promise<Answer[]> => {
    const holder = await stack.database.connect();
    try {
      await holder.query('BEGIN');
      await holder.query(lock);
      const answers: Promise<Answer>[] = [];
      for (const send of requests) {
        answers.push(send());
        await until(async () => {
          const { rows } = await stack.database.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          );
          return rows.length === answers.length;
        }, 'the request to wait for the lock');
      }
      await meanwhile(holder);
      await holder.query('COMMIT');
      return await Promise.all(answers);
    } finally {
      holder.release();
    }
  };
  const lockOf = (chatId: string): string => `SELECT FROM chats WHERE id = '${chatId}' FOR UPDATE`;
  const MESSAGES = 'LOCK TABLE messages IN ACCESS EXCLUSIVE MODE';
  const removed = (chatId: string) => async (holder: PoolClient) => {
    await holder.query(`UPDATE messages SET job_id = NULL, role = 'user' WHERE chat_id = $1`, [chatId]);
    await holder.query('DELETE FROM jobs WHERE chat_id = $1', [chatId]);
    await holder.query('DELETE FROM messages WHERE chat_id = $1', [chatId]);
    await holder.query('DELETE FROM chats WHERE id = $1', [chatId]);
  };

  it('a reply that is asked for while its chat is being deleted does not begin', async () => {
    const ana = stack.as('ana');
    const { id } = await ana.chat();
    await ana.post(`/api/v1/chats/${id}/messages`, { content: 'Is anybody there?' });
    const [deleted, reply] = await heldUp(lockOf(id), [
      () => ana.request('DELETE', `/api/v1/chats/${id}`),
      () => stack.as('ana', other).post('/api/v1/jobs/assistant-reply', { chat_id: id }),
    ]);
    expect(deleted?.status).toBe(204);
    expect(reply?.status).toBe(404);
  });

  it('an operator can neither requeue nor see a job of a deleted chat', async () => {
    const operator = new Client(stack.api.url, tokenFor('operator', { scope: 'admin' }));
    const ben = stack.as('ben');
    const { id } = await ben.chat();
    const job = await ben.turnAsync(id, 'canary');
    await stack.database.query(
      `UPDATE jobs SET status = 'failed', finished_at = now(), error_code = 'internal', error_message = '' WHERE id = $1`,
      [job.id],
    );
    // A chat that is too long to be cleared by the request that deletes it is left like this.
    await stack.database.query('UPDATE chats SET released_from = user_id, user_id = NULL WHERE id = $1', [id]);
    expect((await operator.patch(`/api/v1/admin/jobs/${job.id}`, { status: 'queued' })).status).toBe(404);
    expect((await operator.get(`/api/v1/admin/jobs/${job.id}`)).status).toBe(404);
    expect((await operator.get(`/api/v1/admin/jobs?chat=${id}`)).body.data).toEqual([]);
  });

  it('a chat that is opened with a key while a turn is accepted shows both its message and its job, or neither', async () => {
    const cid = stack.as('cid');
    const { id } = await cid.chat();
    const [turn, opened] = await heldUp(lockOf(id), [
      () => cid.turn(id, 'One question', { prefer: 'respond-async' }),
      () => stack.as('cid', other).post('/api/v1/assistants/support/chats', {}, { 'idempotency-key': 'cid' }),
    ]);
    expect(opened?.body.messages).toHaveLength(2);
    expect(opened?.body.unfinished_job_id).toBe(turn?.body.id);
    const again = await cid.post('/api/v1/assistants/support/chats', {}, { 'idempotency-key': 'cid' });
    expect(again.body).toEqual(opened?.body);
  });

  it('a chat’s `updated_at` is when it was changed, not when the change began to wait', async () => {
    const dee = stack.as('dee');
    const { id } = await dee.chat();
    let released = '';
    const [changed] = await heldUp(
      lockOf(id),
      [() => dee.patch(`/api/v1/chats/${id}`, { title: 'New' })],
      async (holder) => {
        const { rows } = await holder.query<{ now: Date }>('SELECT clock_timestamp()::timestamptz(3) AS now');
        released = rows[0]?.now.toISOString() ?? '';
      },
    );
    expect(changed?.body.updated_at >= released).toBe(true);
  });

  it('a page of a chat that is deleted before its messages are read is not found, not empty', async () => {
    const eve = stack.as('eve');
    const { id } = await eve.chat();
    const [page] = await heldUp(MESSAGES, [() => eve.get(`/api/v1/chats/${id}/messages`)], removed(id));
    expect(page?.status).toBe(404);
  });

  it('a chat that is deleted while it is opened is created anew', async () => {
    const fay = stack.as('fay');
    const { id } = await fay.chat();
    const open = () => fay.post('/api/v1/assistants/support/chats', {});
    const [opened] = await heldUp(MESSAGES, [open], removed(id));
    expect(opened?.status).toBe(201);
    expect(opened?.body.id).not.toBe(id);
    expect(opened?.body.messages).toHaveLength(1);
  });

  it('a job that is deleted while it is read is not found, instead of without its reply', async () => {
    const gil = stack.as('gil');
    const { id } = await gil.chat();
    const job = await gil.turnAsync(id, 'Reply to me');
    await stack.database.query(
      `UPDATE jobs SET status = 'succeeded', started_at = now(), finished_at = now(), attempts = 1 WHERE id = $1`,
      [job.id],
    );
    const [read] = await heldUp(MESSAGES, [() => gil.get(`/api/v1/jobs/${job.id}`)], removed(id));
    expect(read?.status).toBe(404);
  });
});
