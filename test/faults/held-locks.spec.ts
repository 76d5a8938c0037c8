import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Answer } from '../support/client.js';
import { openStream, type StreamEvent, textOf } from '../support/events.js';
import { Pace } from '../support/pace.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** Longest answer while somebody holds a lock, in milliseconds: two waits of 2 s, and what else there is to do. */
const BOUND_MS = 8_000;

describe('while somebody else’s session holds PostgreSQL’s locks', () => {
  let stack: Stack;
  let holder: pg.Client;
  beforeAll(async () => {
    stack = await startStack();
    holder = new pg.Client({ connectionString: stack.databaseUrl });
    await holder.connect();
  });
  afterAll(async () => {
    await holder.end();
    await stack.stop();
  });

  /** Holds what `lock` takes while `work` goes on. */
  const holding = async <T>(lock: string, values: unknown[], work: () => Promise<T>): Promise<T> => {
    await holder.query('BEGIN');
    try {
      await holder.query(lock, values);
      return await work();
    } finally {
      await holder.query('ROLLBACK');
    }
  };
  const expectUnavailable = ({ status, body, headers }: Answer): void => {
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'unavailable', '2']);
    expect(JSON.stringify(body)).not.toMatch(/lock|timeout|state|SELECT|UPDATE|chats/i);
  };

  it('a chat’s row: what writes into it is told 503 in time, what reads goes on, and nothing of it is done', async () => {
    const ana = stack.as('ana');
    const { id } = await ana.chat();
    await holding('SELECT FROM chats WHERE id = $1 FOR UPDATE', [id], async () => {
      const pace = await Pace.watch();
      const begun = Date.now();
      const refused = await Promise.all([
        ana.turn(id, 'not now'),
        ana.post(`/api/v1/chats/${id}/messages`, { content: 'not now' }),
        ana.patch(`/api/v1/chats/${id}`, { title: 'not now' }),
        ana.request('DELETE', `/api/v1/chats/${id}`),
      ]);
      expect(Date.now() - begun).toBeLessThan(pace.bound(BOUND_MS));
      refused.forEach(expectUnavailable);
      expect((await ana.get(`/api/v1/chats/${id}/messages`)).status).toBe(200);
    });
    expect((await ana.turn(id, 'now')).body.user_message).toMatchObject({ content: 'now', seq: 2 });
  });

  it('a chat’s row, and more requests wait for it than there are connections: other chats are served', async () => {
    const small = await stack.startApi({ DATABASE_POOL_SIZE: '4' });
    const [ben, eva] = [stack.as('ben', small), stack.as('eva', small)];
    const [{ id }, other] = [await ben.chat(), await eva.chat()];
    const change = (): Promise<Answer> => ben.patch(`/api/v1/chats/${id}`, { title: 'at last' });
    const waiting = await holding('SELECT FROM chats WHERE id = $1 FOR UPDATE', [id], async () => {
      const first = Array.from({ length: 4 }, change);
      await until(async () => {
        const { rows } = await stack.database.query(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`);
        return rows.length >= 4;
      }, 'a pool that is used up');
      // Later, so that they still stand in line when the first ones have waited long enough.
      await new Promise((resolve) => setTimeout(resolve, 500));
      const second = Array.from({ length: 4 }, change);
      expect((await eva.patch(`/api/v1/chats/${other.id}`, { title: 'mine' })).status).toBe(200);
      return [...first, ...second];
    });
    for (const answer of await Promise.all(waiting)) if (answer.status !== 200) expectUnavailable(answer);
    await small.stop();
  });

  it('a whole table: a turn under way ends with its one attempt, and a stream of it is taken up where it was', async () => {
    const kim = stack.as('kim');
    const { id } = await kim.chat();
    await stack.model.script('hold the table', { pieces: ['one ', 'two ', 'three'], piece_delay_ms: 300 });
    const job = await kim.turnAsync(id, 'hold the table');
    const path = `/api/v1/jobs/${job.id}/events`;
    const told: StreamEvent[] = [];
    const follow = async (headers = {}): Promise<void> => {
      const { events } = await openStream(stack.api.url, tokenFor('kim'), path, { headers });
      for await (const event of events) told.push(event);
    };
    const first = follow();
    await until(async () => told.some(({ event }) => event === 'delta'), 'the first text');
    await holding('LOCK TABLE chats IN ACCESS EXCLUSIVE MODE', [], async () => {
      expectUnavailable(await kim.get('/api/v1/chats'));
      await until(async () => (await stack.model.calls('hold the table'))[0]?.outcome === 'completed', 'the reply');
      await until(async () => {
        const { rows } = await stack.database.query(
          `SELECT FROM pg_stat_activity WHERE application_name = 'rejoinder-worker' AND wait_event_type = 'Lock'`,
        );
        return rows.length > 0;
      }, 'the worker, which waits to write it');
    });
    expect(await kim.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
    expect(await stack.model.calls('hold the table')).toHaveLength(1);
    await first;
    // It goes on by itself if nothing changed while the table was held; else it was ended, to be taken up.
    const last = told.at(-1)?.id ?? '';
    if (last !== 'end') await follow({ 'last-event-id': last });
    expect([textOf(told), told.at(-1)?.id]).toEqual(['one two three', 'end']);
  });

  it('what PostgreSQL says of its own state is a 503, and not a word of it is told', async () => {
    const leo = stack.as('leo');
    const { id } = await leo.chat();
    await stack.database.query(`
      CREATE TABLE state (code text);
      CREATE FUNCTION say_state() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE c text := (SELECT code FROM state);
      BEGIN
        IF c IS NOT NULL THEN RAISE EXCEPTION 'relation "chats" is in a state' USING ERRCODE = c; END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER say_state BEFORE UPDATE ON chats FOR EACH ROW EXECUTE FUNCTION say_state();
    `);
    // A deadlock, a conflict, a statement that was ended, a full disk, too many connections, a server that only reads.
    for (const code of ['40P01', '40001', '57014', '53100', '53300', '25006']) {
      await stack.database.query('DELETE FROM state');
      await stack.database.query('INSERT INTO state VALUES ($1)', [code]);
      expectUnavailable(await leo.turn(id, 'not now'));
      expectUnavailable(await leo.post(`/api/v1/chats/${id}/messages`, { content: 'not now' }));
    }
    await stack.database.query('DELETE FROM state');
    expect((await leo.turn(id, 'now')).body.user_message).toMatchObject({ content: 'now', seq: 2 });
  });
});
