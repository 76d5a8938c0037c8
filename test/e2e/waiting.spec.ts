import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BadLine } from '../support/bad-line.js';
import { collect, openStream } from '../support/events.js';
import type { App } from '../support/processes.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** The number of clients for each way to wait. */
const CLIENTS = 20;

describe('clients that wait', () => {
  let stack: Stack;
  let api: App;
  let line: BadLine;
  beforeAll(async () => {
    stack = await borrowStack();
    line = await BadLine.to(stack.databaseUrl, () => undefined);
    const database = new URL(stack.databaseUrl);
    database.port = new URL(line.url).port;
    api = await stack.startApi({ DATABASE_URL: database.href });
  });
  afterAll(async () => {
    stack.model.thaw();
    await stack.stop();
    line.close();
  });

  it('cost no queries, whether they wait for a turn, for a job or on a stream: the API is silent until a notice comes', async () => {
    await stack.model.script('a long silence', { text: 'and then a word' });
    // As long as the test needs.
    stack.model.freeze();
    const clients = Array.from({ length: CLIENTS }, (_, n) => `user-${n}`);
    const chats = await Promise.all(clients.map(async (user) => (await stack.as(user, api).chat()).id));
    const turns = clients.map((user, n) => stack.as(user, api).turn(chats[n] ?? '', 'a long silence'));
    const jobs = await until(async () => {
      const { rows } = await stack.database.query(`SELECT id, user_id FROM jobs WHERE status = 'running'`);
      return rows.length === CLIENTS && (rows as { id: string; user_id: string }[]);
    }, 'all turns to run');
    const polls = jobs.map(({ id, user_id }) =>
      stack.as(user_id, api).get(`/api/v1/jobs/${id}`, { headers: { prefer: 'wait=30' } }),
    );
    const streams = await Promise.all(
      jobs.map(({ id, user_id }) => openStream(api.url, tokenFor(user_id), `/api/v1/jobs/${id}/events`)),
    );
    const ends = streams.map(collect);
    // Each wait for a job begins with a look. Only the silence afterwards shows that all have looked.
    await until(async () => {
      const before = line.sent;
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      // The check of the connection that listens: one small statement, however many wait.
      return line.sent - before < 100;
    }, 'a silence of 2.5 s between the API and its database');
    expect((await stack.database.query(`SELECT FROM jobs WHERE status = 'running'`)).rowCount).toBe(CLIENTS);
    stack.model.thaw();

    expect((await Promise.all(turns)).map(({ status }) => status)).toEqual(clients.map(() => 200));
    expect((await Promise.all(polls)).map(({ body }) => body.status)).toEqual(clients.map(() => 'succeeded'));
    expect((await Promise.all(ends)).map((events) => events.at(-1)?.id)).toEqual(clients.map(() => 'end'));
  });

  it('and follow one job share one query when it changes', async () => {
    await stack.model.script('one word, and silence', { pieces: ['Hmm. '], stall_after: 1 });
    const user = stack.as('many', api);
    const { id } = await user.turnAsync((await user.chat()).id, 'one word, and silence');
    const streams = await Promise.all(
      Array.from({ length: 100 }, () => openStream(api.url, tokenFor('many'), `/api/v1/jobs/${id}/events`)),
    );
    // Each stream has its text, so none has to ask for more.
    for (const { events } of streams) while ((await events.next()).value?.event !== 'delta');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const before = line.sent;
    await stack.database.query(`SELECT pg_notify('rejoinder_jobs', $1 || ' running')`, [id]);
    await until(async () => line.sent > before, 'a look');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // One look, one question, and perhaps the check of the connection. A look for each stream would be at least 50,000 bytes.
    expect(line.sent - before).toBeLessThan(5_000);
    await user.patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
    streams.forEach((stream) => stream.close());
  });
});
