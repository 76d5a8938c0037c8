import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Answer } from '../support/client.js';
import { openStream, type StreamEvent, textOf } from '../support/events.js';
import { Pace } from '../support/pace.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** The longest answer while somebody holds a lock, in milliseconds: two waits of 2 s, and the rest of the work. */
const BOUND_MS = 8_000;

describe('while another session holds PostgreSQL’s locks', () => {
  let stack: Stack;
  let holder: pg.Client;
  beforeAll(async () => {
    stack = await borrowStack();
    holder = new pg.Client({ connectionString: stack.databaseUrl });
    await holder.connect();
  });
  afterAll(async () => {
    await holder.end();
    await stack.stop();
  });

  /** Runs the statement `lock`, and holds its locks during `work`. */
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

  it('a chat’s row: writes get 503 in time and take no effect, and reads go on', async () => {
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

  it('a chat’s row, for which more requests wait than there are connections: no other chat waits', async () => {
    const small = await stack.startApi({ DATABASE_POOL_SIZE: '4' });
    const [ben, eva] = [stack.as('ben', small), stack.as('eva', small)];
    const [{ id }, other] = [await ben.chat(), await ben.chat('billing')];
    const mine = await eva.chat();
    const waiting = await holding('SELECT FROM chats WHERE id = $1 FOR UPDATE', [id], async () => {
      const sent = Array.from({ length: 6 }, (_, n) => [
        ben.turn(id, `not now, ${n}`, { prefer: 'respond-async' }),
        // This waits for the user's row, which the turn holds while it waits for its chat's.
        ben.post(`/api/v1/chats/${other.id}/messages`, { content: `nor this, ${n}` }),
        ben.patch(`/api/v1/chats/${id}`, { title: `at last, ${n}` }),
        ben.post(`/api/v1/chats/${id}/messages`, { content: `nor that, ${n}` }),
      ]).flat();
      const locks = async (): Promise<number> => {
        const { rows } = await stack.database.query(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`);
        return rows.length;
      };
      await until(async () => (await locks()) > 0, 'one that waits');
      let most = 0;
      const pace = await Pace.watch();
      const begun = Date.now();
      for (let n = 0; n < 3; n++) {
        most = Math.max(most, await locks());
        expect((await eva.get(`/api/v1/chats/${mine.id}`)).status).toBe(200);
        expect((await ben.get(`/api/v1/chats/${id}/messages`)).status).toBe(200);
        expect((await eva.patch(`/api/v1/chats/${mine.id}`, { title: `mine, ${n}` })).status).toBe(200);
      }
      expect((await eva.turn(mine.id, 'and I', { prefer: 'respond-async' })).status).toBe(202);
      expect(Date.now() - begun).toBeLessThan(pace.bound(500));
      expect(most).toBe(1);
      return Promise.all(sent);
    });
    for (const answer of waiting) {
      if (answer.status === 503) expectUnavailable(answer);
      else expect(answer.status).toBeLessThan(300);
    }
    // Requests behind one that waited in vain get 503 together with it.
    expect(waiting.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(6);
    expect((await ben.turn(id, 'now')).status).toBe(200);
    await small.stop();
  });

  it('a whole table: a turn under way ends with its one attempt, and its stream can be resumed', async () => {
    const kim = stack.as('kim');
    const { id } = await kim.chat();
    await stack.model.script('hold the table', { pieces: ['one ', 'two ', 'three'], piece_delay_ms: 300 });
    const job = await kim.turnAsync(id, 'hold the table');
    const path = `/api/v1/jobs/${job.id}/events`;
    const received: StreamEvent[] = [];
    const follow = async (headers = {}): Promise<void> => {
      const { events } = await openStream(stack.api.url, tokenFor('kim'), path, { headers });
      for await (const event of events) received.push(event);
    };
    const first = follow();
    await until(async () => received.some(({ event }) => event === 'delta'), 'the first text');
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
    // The stream goes on by itself if nothing changed while the table was locked. Otherwise it has ended, and is resumed here.
    const last = received.at(-1)?.id ?? '';
    if (last !== 'end') await follow({ 'last-event-id': last });
    expect([textOf(received), received.at(-1)?.id]).toEqual(['one two three', 'end']);
  });

  it('an error of PostgreSQL’s own state is a 503 that does not repeat it', async () => {
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
    // A deadlock, a conflict, a canceled statement, a full disk, too many connections, a read-only server.
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
