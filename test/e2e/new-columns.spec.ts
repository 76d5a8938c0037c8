import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { collect, openStream } from '../support/events.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

/*
 * In a rolling upgrade the new version's migration runs while processes of the old one serve. A prepared statement that does not name its
 * columns would return more of them afterwards. PostgreSQL refuses that ("cached plan must not change result type") on every connection
 * that has prepared it.
 */
/** A request, and its answer's status or its stream's end. */
type Result = [what: string, result: number | string | undefined];

describe('processes that were started before a migration', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  /** Everything that a user and an operator do, done by one user. @returns the status of each request */
  const everything = async (user: string): Promise<Result[]> => {
    const client = stack.as(user);
    const ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    const results: Result[] = [];
    const say = async (what: string, answer: Promise<{ status: number }>): Promise<void> =>
      void results.push([what, (await answer).status]);
    const key = (name: string): Record<string, string> => ({ 'idempotency-key': `${user}-${name}` });

    const { id } = await client.chat();
    await say('open again', client.post('/api/v1/assistants/support/chats'));
    await say('open with a key', client.post('/api/v1/assistants/billing/chats', {}, key('open')));
    for (const again of ['', ' again']) {
      await say(`turn with a key${again}`, client.turn(id, `and now, ${user}?`, key('turn')));
      const body = { content: 'by the way' };
      await say(`message${again}`, client.post(`/api/v1/chats/${id}/messages`, body, key('message')));
    }
    const asked = await client.post('/api/v1/jobs/assistant-reply', { chat_id: id });
    results.push(['reply', (await client.finalJob(asked.body.id)).status]);
    const body = { user_message: 'flow' };
    const stream = await openStream(stack.api.url, tokenFor(user), `/api/v1/chats/${id}/turns`, { body });
    results.push(['stream', (await collect(stream)).at(-1)?.event]);
    await stack.model.script(`slow ${user}`, { pieces: ['a ', 'b '], piece_delay_ms: 3_000 });
    const { id: slow } = await client.turnAsync(id, `slow ${user}`);
    await say('cancel', client.patch(`/api/v1/jobs/${slow}`, { status: 'canceled' }));
    await say('poll', client.get(`/api/v1/jobs/${slow}`));
    await say('change', client.patch(`/api/v1/chats/${id}`, { title: 'mine' }));
    for (const path of [
      `chats/${id}`,
      `chats/${id}/messages?limit=2`,
      'chats?status=active',
      'chats',
      'assistants',
      'me/export',
    ]) {
      await say(path.replace(id, '…'), client.get(`/api/v1/${path}`));
    }
    for (const path of ['jobs', 'jobs?status=failed', `jobs?user=${user}`, `jobs/${slow}`, 'dispatch', 'usage']) {
      await say(path.replace(slow, '…').replace(user, '…'), ops.get(`/api/v1/admin/${path}`));
    }
    await say('delete a chat', client.request('DELETE', `/api/v1/chats/${id}`));
    await say('delete all', client.request('DELETE', '/api/v1/me'));
    return results;
  };

  it('go on when tables have gained columns', async () => {
    const before = await everything('before');
    expect(before.filter(([, status]) => Number(status) >= 400)).toEqual([]);
    // So that each connection has prepared its statements.
    await Promise.all(Array.from({ length: 8 }, (_, n) => everything(`early-${n}`)));
    const { rows } = await stack.database.query(
      `SELECT format('ALTER TABLE %I ADD COLUMN later text DEFAULT ''new''', relname) AS change FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'migrations'`,
    );
    expect(rows.length).toBeGreaterThan(10);
    for (const { change } of rows) await stack.database.query(change);
    for (const after of await Promise.all(Array.from({ length: 8 }, (_, n) => everything(`after-${n}`)))) {
      expect(after).toEqual(before);
    }
  });
});
