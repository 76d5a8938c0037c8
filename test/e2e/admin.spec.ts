import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, contract } from '../support/client.js';
import { Pace } from '../support/pace.js';
import { onQueue } from '../support/queue.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const NOBODYS = '0199a0de-0000-7000-8000-000000000000';
const REFUSED = { status: 400, error_type: 'invalid_request_error', message: 'no' };

describe('operators', () => {
  let stack: Stack;
  let ops: Client;
  beforeAll(async () => {
    stack = await startStack();
    ops = new Client(stack.api.url, tokenFor('ops', { scope: 'chat:read admin' }));
  });
  afterAll(() => stack.stop());
  afterEach(async () => {
    await stack.model.clearScripts();
    await ops.patch('/api/v1/admin/dispatch', { paused: false });
  });

  const jobs = async (query: string) => (await ops.get(`/api/v1/admin/jobs?${query}`)).body;
  const job = async (id: string) => (await ops.get(`/api/v1/admin/jobs/${id}`)).body;
  const ids = (page: any): string[] => page.data.map(({ id }: { id: string }) => id);
  const pause = (paused: boolean) => ops.patch('/api/v1/admin/dispatch', { paused });
  const requeue = (id: string) => ops.patch(`/api/v1/admin/jobs/${id}`, { status: 'queued' });
  const failedTurn = async (user: string, text: string): Promise<{ chat: string; job: string }> => {
    const chat = (await stack.as(user).chat()).id;
    await stack.model.script(text, REFUSED, 1);
    const { status, body } = await stack.as(user).turn(chat, text);
    expect(status).toBe(502);
    return { chat, job: body.job_id };
  };
  /** Waits until workers have taken every ticket, which stays without effect while dispatch is paused. */
  const ticketsTaken = () =>
    until(
      async () => (await onQueue(stack, (queue) => queue.getJobCountByTypes('waiting', 'active'))) === 0,
      'the tickets to be taken',
    );
  const edit = (sql: string, ...values: unknown[]) => stack.database.query(sql, values);

  describe('have operations that are only for them', () => {
    it('for other tokens each operation, and every other method there, answers like an unknown address', async () => {
      const eve = stack.as('eve');
      const almost = new Client(stack.api.url, tokenFor('eve', { scope: 'administrator' }));
      const strange = new Client(stack.api.url, tokenFor('eve', { scope: { admin: true } }));
      const paths = [...new Set(contract.operations.map(({ path }) => path))].filter((path) =>
        path.includes('/admin/'),
      );
      expect(paths.length).toBeGreaterThan(3);
      const { job: id } = await failedTurn('eva', 'a failure to hide');
      const headers = { 'x-request-id': 'same' };
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const tries: { body?: object; raw?: string; headers: Record<string, string> }[] = [
          { headers },
          { headers: { ...headers, accept: 'text/html' } },
        ];
        if (!['GET', 'HEAD'].includes(method)) {
          tries.push(
            { headers, body: { status: 'queued', paused: true } },
            { headers, body: { unknown: 1 } },
            { headers: { ...headers, 'content-type': 'text/plain' }, raw: 'x' },
            { headers: { ...headers, 'content-type': 'application/json' }, raw: '{' },
          );
        }
        if (method === 'PATCH') {
          const large = `"${'x'.repeat(300_000)}"`;
          tries.push({ headers: { ...headers, 'content-type': 'application/json' }, raw: large });
        }
        for (const options of tries) {
          const unknown = await wholeAnswer(eve, method, '/api/v1/nothing/here', options);
          for (const path of [...paths]) {
            const at = path.replace('{job_id}', id);
            for (const one of method === 'GET' ? [eve, almost, strange] : [eve]) {
              expect([at, await wholeAnswer(one, method, at, options)]).toEqual([at, unknown]);
            }
          }
        }
      }
    });

    it('without a token, or with an invalid one, the answer is 401', async () => {
      for (const token of [undefined, tokenFor('ops', { scope: 'admin', exp: 1_000_000_000 })]) {
        for (const path of ['jobs', `jobs/${NOBODYS}`, 'dispatch', 'usage']) {
          expect((await new Client(stack.api.url, token).get(`/api/v1/admin/${path}`)).status).toBe(401);
        }
      }
    });

    it('an unknown method is 404 to operators, too, and so is an unknown job', async () => {
      expect((await ops.request('DELETE', '/api/v1/admin/dispatch')).status).toBe(404);
      expect((await ops.get(`/api/v1/admin/jobs/${NOBODYS}`)).body.message).toBe('There is no such job.');
      expect((await ops.get('/api/v1/admin/jobs/x')).status).toBe(404);
    });
  });

  describe('see jobs', () => {
    it('by state, user, chat, assistant and error, and never with texts of users', async () => {
      const ana = stack.as('ana');
      const chat = (await ana.chat()).id;
      const other = (await ana.chat('billing')).id;
      const done = (await ana.turn(chat, 'canary-question')).body.job_id;
      const billed = (await ana.turn(other, 'canary-invoice')).body.job_id;
      const { job: failed } = await failedTurn('abe', 'canary-refusal');

      expect(ids(await jobs('user=ana'))).toEqual([billed, done]);
      expect(ids(await jobs('user=ana&order=oldest'))).toEqual([done, billed]);
      expect(ids(await jobs('user=ana&assistant=billing'))).toEqual([billed]);
      expect(ids(await jobs(`chat=${chat.toUpperCase()}`))).toEqual([done]);
      expect(ids(await jobs(`chat=${chat}&user=abe`))).toEqual([]);
      expect(ids(await jobs('user=ana&status=succeeded&assistant=support'))).toEqual([done]);
      expect(ids(await jobs('user=abe&error=model_rejected'))).toEqual([failed]);
      expect(ids(await jobs('user=abe&error=expired'))).toEqual([]);
      expect(ids(await jobs('user=ana&error=model_rejected&status=succeeded'))).toEqual([]);
      expect(ids(await jobs('status=failed&limit=1&user=abe'))).toEqual([failed]);

      const everything = JSON.stringify([await jobs('limit=100'), await job(done), await job(failed)]);
      expect(everything).toContain(done);
      expect(everything).not.toMatch(/canary-|system_prompt|draft/);
    });

    it('by age', async () => {
      const chat = (await stack.as('old').chat()).id;
      const old = (await stack.as('old').turn(chat, 'long ago')).body.job_id;
      const young = (await stack.as('old').turn(chat, 'just now')).body.job_id;
      await edit(`UPDATE jobs SET created_at = '2026-01-05T10:00:00Z' WHERE id = $1`, old);
      expect(ids(await jobs('user=old&older_than=3600'))).toEqual([old]);
      expect(ids(await jobs('user=old&older_than=0&order=oldest'))).toEqual([old, young]);
      expect(ids(await jobs('user=old&created_before=2026-01-05T10:00:00Z'))).toEqual([]);
      expect(
        ids(await jobs('user=old&created_after=2026-01-05T10:00:00Z&created_before=2026-01-05T10:00:00.001Z')),
      ).toEqual([old]);
      expect(ids(await jobs(`user=old&created_after=${encodeURIComponent('2026-01-05T12:00:00.001+02:00')}`))).toEqual([
        young,
      ]);
      // Offsets that RFC 3339 allows and PostgreSQL does not, and times within the millisecond in which a job was accepted.
      const after = (moment: string) => jobs(`user=old&created_after=${encodeURIComponent(moment)}`).then(ids);
      expect(await after('2026-01-04T10:01:00-23:59')).toEqual([young, old]);
      expect(await after('2026-01-06T09:59:00.000+23:59')).toEqual([young, old]);
      expect(await after('2026-01-05T10:00:00.000000001Z')).toEqual([young]);
      expect(await after('9999-12-31T23:59:59.999Z')).toEqual([]);
    });

    it('in pages from either end, which neither repeat nor leave out a job, even of the same moment', async () => {
      const chat = (await stack.as('pat').chat()).id;
      const all: string[] = [];
      for (let n = 0; n < 7; n++) all.push((await stack.as('pat').turn(chat, `turn ${n}`)).body.job_id);
      await edit(`UPDATE jobs SET created_at = date_trunc('second', created_at) WHERE user_id = 'pat'`);
      const { rows } = await edit(`SELECT id FROM jobs WHERE user_id = 'pat' ORDER BY created_at, id`);
      const oldestFirst = rows.map(({ id }) => id as string);
      const walk = async (order: string, cursor: 'before' | 'after'): Promise<string[]> => {
        const found: string[] = [];
        for (let query = ''; ;) {
          const page = await jobs(`user=pat&limit=2&order=${order}${query}`);
          found.push(...ids(page));
          if (!page.has_more) return found;
          query = `&${cursor}=${page[cursor]}`;
        }
      };
      expect(await walk('oldest', 'after')).toEqual(oldestFirst);
      expect(await walk('newest', 'before')).toEqual([...oldestFirst].reverse());
      // Back from the end, and forward to later jobs.
      const first = await jobs('user=pat&limit=2&order=newest');
      expect(ids(await jobs(`user=pat&limit=3&after=${first.after}`))).toEqual([]);
      const next = (await stack.as('pat').turn(chat, 'one more')).body.job_id;
      const later = await jobs(`user=pat&limit=3&after=${first.after}`);
      expect([ids(later), later.has_more]).toEqual([[next], false]);
      const older = await jobs(`user=pat&limit=2&before=${first.before}`);
      expect(ids(await jobs(`user=pat&limit=2&after=${older.after}`))).toEqual(ids(first));
    });

    it('even one among very many: a page reads at most 10,000 jobs, and says when there may be more', async () => {
      const una = stack.as('una');
      const rare = (await una.turn((await una.chat('billing')).id, 'rare')).body.job_id;
      const { job_id } = (await una.turn((await una.chat()).id, 'common')).body;
      await edit(`UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = $1`, rare);
      await edit(
        `INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left, finished_at)
         SELECT gen_random_uuid(), type, status, chat_id, user_id, user_message_id, request_id, attempts_left, finished_at
           FROM jobs, generate_series(1, 10000) WHERE id = $1`,
        job_id,
      );
      const first = await jobs('user=una&assistant=billing');
      expect([ids(first), first.has_more, first.before]).toEqual([[], true, expect.any(String)]);
      const second = await jobs(`user=una&assistant=billing&before=${first.before}`);
      expect([ids(second), second.has_more, second.before]).toEqual([[rare], false, null]);
      const oldest = await jobs('user=una&assistant=billing&order=oldest');
      expect([ids(oldest), oldest.has_more]).toEqual([[rare], true]);
      const end = await jobs(`user=una&assistant=billing&after=${oldest.after}`);
      expect([ids(end), end.has_more]).toEqual([[], false]);
    });

    it('with every invalid filter refused, field by field', async () => {
      const [page] = [await jobs('user=pat&limit=1')];
      const refused = async (path: string): Promise<string> => {
        const { status, body } = await ops.get(`/api/v1/admin/${path}`);
        expect([path, status]).toEqual([path, 422]);
        return (body.details ?? []).map(({ field }: { field: string }) => field).join();
      };
      for (const [field, values] of Object.entries({
        status: ['', 'done', 'queued,failed', "queued' OR true--", '%00'],
        assistant: ['', 'No', "x' OR 1=1"],
        user: ['', '%00', 'x'.repeat(256), '%20'],
        chat: ['', 'x', `${NOBODYS}x`],
        error: ['', 'oops', 'expired;'],
        older_than: ['', '-1', '1e3', '1.5', '1000000', '0x10'],
        created_after: [
          '',
          'yesterday',
          '2026-01-05',
          '2026-02-30T00:00:00Z',
          '0000-01-01T00:00:00Z',
          '2026-01-05T00:00:00',
          '2026-01-05T25:00:00Z',
          '2026-01-05T24:00:00Z',
          '2026-01-05T00:00:00-15:60',
          '275760-09-13T00:00:00Z',
          '9999-12-31T23:59:59-00:01',
          '9999-12-31T23:59:59.9999Z',
        ],
        created_before: ['now()', '2026-13-01T00:00:00Z', "2026-01-05T00:00:00Z'"],
        order: ['', 'up', 'created_at'],
        limit: ['0', '101', 'x', ''],
        before: ['x', '%00', 'x'.repeat(300)],
        after: ['AAAA'],
        sort: ['up'],
      })) {
        for (const value of values)
          expect([field, value, await refused(`jobs?${field}=${value}`)]).toEqual([field, value, field]);
      }
      for (const query of ['status=queued&status=failed', 'user=a&user=b', 'created_after=x&created_after=y']) {
        expect(await refused(`jobs?${query}`)).toBe(query.split('=')[0]);
      }
      expect(await refused(`jobs?user=pat&before=${page.after}&after=${page.after}`)).toBe('after');
      expect(await refused(`jobs?user=other&after=${page.after}`)).toBe('after');
      for (const [query, field] of Object.entries({
        'from=2026-01-02&to=2026-01-01': 'from',
        'from=2025-09-30&to=2026-01-01': 'from',
        'from=2026-02-30': 'from',
        'to=0000-01-01': 'to',
        'group_by=day,day': 'group_by',
        'group_by=models': 'group_by',
        'group_by=': 'group_by',
        'after=AAAA': 'after',
        'limit=101': 'limit',
        'user=%00': 'user',
      })) {
        expect([query, await refused(`usage?${query}`)]).toEqual([query, field]);
      }
      for (const body of [{}, { status: 'running' }, { status: 'queued', force: true }, [], 7]) {
        expect((await ops.patch(`/api/v1/admin/jobs/${NOBODYS}`, body)).status).toBe(422);
      }
      for (const paused of ['true', 1, null])
        expect((await ops.patch('/api/v1/admin/dispatch', { paused })).status).toBe(422);
      expect((await ops.get('/api/v1/admin/dispatch?x=1')).status).toBe(422);
    });
  });

  describe('see why a job is in its state', () => {
    it('running, then succeeded: its attempts, their calls and tokens', async () => {
      const ben = stack.as('ben');
      const chat = (await ben.chat()).id;
      await stack.model.script('overloaded', { status: 529, error_type: 'overloaded_error', message: 'busy' }, 1);
      await stack.model.script('overloaded', { delay_ms: 1_500 });
      const { id } = await ben.turnAsync(chat, 'overloaded at first');
      const waiting = await until(async () => {
        const now = await job(id);
        return now.why.code === 'waiting_for_moment' && now;
      }, 'the wait for the second attempt');
      expect(waiting.why.message).toMatch(/^After 1, the next attempt is due in \d s\.$/);
      const running = await until(async () => {
        const now = await job(id);
        return now.why.code === 'running' && now;
      }, 'the second attempt');
      expect(running).toMatchObject({
        status: 'running',
        attempts: 2,
        lease_until: expect.any(String),
        user_id: 'ben',
      });
      await ben.finalJob(id);
      const done = await job(id);
      expect(done).toMatchObject({
        status: 'succeeded',
        lease_until: null,
        error: null,
        assistant: 'support',
      });
      expect(done.why).toEqual({ code: 'succeeded', message: 'It has its reply, after 2 attempts.' });
      expect(done.calls).toMatchObject([
        {
          attempt: 1,
          outcome: 'failed',
          error_code: 'model_unavailable',
          input_tokens: null,
          ended_at: expect.any(String),
        },
        {
          attempt: 2,
          outcome: 'completed',
          error_code: null,
          input_tokens: expect.any(Number),
          message_id: expect.any(String),
        },
      ]);
    });

    it('failed, and why; canceled', async () => {
      const { job: id } = await failedTurn('cas', 'refuse me');
      expect(await job(id)).toMatchObject({
        status: 'failed',
        error: { code: 'model_rejected' },
        why: {
          code: 'failed',
          message: 'It failed after 1 attempt (model_rejected): The model refused the request (400).',
        },
        calls: [{ attempt: 1, outcome: 'failed', error_code: 'model_rejected' }],
      });
      await pause(true);
      const cas = stack.as('cas');
      const { id: canceled } = await cas.turnAsync((await cas.chat()).id, 'never mind');
      await cas.patch(`/api/v1/jobs/${canceled}`, { status: 'canceled' });
      expect((await job(canceled)).why).toEqual({ code: 'canceled', message: 'Somebody canceled it.' });
    });
  });

  describe('pause dispatch', () => {
    it('no attempt begins, running ones end, and turns are accepted; afterwards all waiting turns go on at once', async () => {
      const [dan, dot] = [stack.as('dan'), stack.as('dot')];
      const [running, waiting] = [(await dan.chat()).id, (await dot.chat()).id];
      await stack.model.script('under way', { delay_ms: 800 });
      const begun = await dan.turnAsync(running, 'under way');
      await until(async () => (await job(begun.id)).status === 'running', 'the attempt');

      expect((await pause(true)).body).toMatchObject({ paused: true, changed_by: 'ops' });
      const again = await pause(true);
      expect((await ops.get('/api/v1/admin/dispatch')).body).toEqual(again.body);

      const waited = await dot.turn(waiting, 'while paused', { prefer: 'wait=1' });
      expect([waited.status, waited.body.status]).toEqual([202, 'queued']);
      expect((await dan.finalJob(begun.id)).status).toBe('succeeded');
      expect(await job(waited.body.id)).toMatchObject({ attempts: 0, why: { code: 'dispatch_paused' } });
      await ticketsTaken();
      expect(await stack.model.calls('while paused')).toHaveLength(0);

      const pace = await Pace.watch();
      const resumed = await pause(false);
      expect(resumed.body.paused).toBe(false);
      expect((await dot.finalJob(waited.body.id)).status).toBe('succeeded');
      const { finished_at, started_at } = await job(waited.body.id);
      expect(Date.parse(finished_at)).toBeGreaterThanOrEqual(Date.parse(resumed.body.changed_at));
      expect(Date.parse(started_at) - Date.parse(resumed.body.changed_at)).toBeLessThan(pace.bound(10_000));
    });

    it('no job is taken over and no worker is woken meanwhile; a turn’s hour runs on, so it ends `expired`, and may be requeued', async () => {
      await pause(true);
      const before = stack.workers[0]?.output().length;
      const waits = async (user: string) => (await stack.as(user).turnAsync((await stack.as(user).chat()).id, user)).id;
      const [lost, overdue] = [await waits('fay'), await waits('fred')];
      await edit(
        `UPDATE jobs SET status = 'running', attempts = 1, attempts_left = 4, lease_until = now() - interval '1 s' WHERE id = $1`,
        lost,
      );
      await edit(`UPDATE jobs SET available_at = now() - interval '1 minute' WHERE id = $1`, overdue);
      // Two expire, one after the other, so that the reconciler has done a whole look in between.
      const expired: string[] = [];
      for (const user of ['finn', 'flo']) {
        const id = await waits(user);
        await edit(`UPDATE jobs SET created_at = created_at - interval '1 hour' WHERE id = $1`, id);
        expect((await stack.as(user).finalJob(id)).error?.code).toBe('expired');
        expired.push(id);
      }
      expect(await job(lost)).toMatchObject({ status: 'running', attempts: 1, why: { code: 'dispatch_paused' } });
      expect(await job(overdue)).toMatchObject({ status: 'queued', attempts: 0, why: { code: 'dispatch_paused' } });
      expect((stack.workers[0]?.output() ?? '').slice(before)).not.toContain('no worker has claimed');
      for (const id of expired) {
        expect((await requeue(id)).body).toMatchObject({ status: 'queued', why: { code: 'dispatch_paused' } });
      }
      await pause(false);
      expect(await stack.as('fay').finalJob(lost)).toMatchObject({ status: 'succeeded', attempts: 2 });
      expect((await stack.as('fred').finalJob(overdue)).status).toBe('succeeded');
      for (const [n, user] of ['finn', 'flo'].entries()) {
        expect((await stack.as(user).finalJob(expired[n] ?? '')).status).toBe('succeeded');
      }
    });

    it('a worker that starts meanwhile begins no attempt either', async () => {
      await pause(true);
      const gus = stack.as('gus');
      const { id } = await gus.turnAsync((await gus.chat()).id, 'a new worker');
      const extra = await stack.startWorker();
      await ticketsTaken();
      expect((await job(id)).status).toBe('queued');
      await extra.stop();
      await pause(false);
      expect((await gus.finalJob(id)).status).toBe('succeeded');
    });
  });

  describe('requeue a failed job', () => {
    it('its reply comes in its place, clients that follow it see that, and its attempts are numbered on', async () => {
      const { chat, job: id } = await failedTurn('hal', 'second chance');
      await edit(`UPDATE jobs SET created_at = created_at - interval '2 days', attempts_left = 0 WHERE id = $1`, id);
      await pause(true);
      const back = await requeue(id);
      expect(back.body).toMatchObject({
        id,
        attempts: 1,
        attempts_left: 5,
        error: null,
        finished_at: null,
        requeued_at: expect.any(String),
      });
      const hal = stack.as('hal');
      await pause(false);
      const done = await hal.finalJob(id);
      expect(done).toMatchObject({ status: 'succeeded', attempts: 2, error: null });
      const { data } = (await hal.get(`/api/v1/chats/${chat}/messages`)).body;
      expect(data.map(({ role }: any) => role)).toEqual(['system', 'user', 'assistant']);
      expect((await job(id)).calls.map(({ outcome }: any) => outcome)).toEqual(['failed', 'completed']);
      expect(stack.api.output()).toMatch(new RegExp(`an operator put the job back job_id=${id} operator=[\\w-]{11}`));
    });

    it('not one in another state', async () => {
      const ida = stack.as('ida');
      const chat = (await ida.chat()).id;
      const { job_id: id } = (await ida.turn(chat, 'fine')).body;
      expect((await requeue(id)).body).toMatchObject({ code: 'invalid_transition', job_id: id });
      await pause(true);
      const { id: queued } = await ida.turnAsync(chat, 'waits');
      expect((await requeue(queued)).body).toMatchObject({ code: 'invalid_transition', job_id: queued });
      expect((await requeue(NOBODYS)).status).toBe(404);
    });

    it('not while the chat has another turn, nor after a later message, nor when the chat is not active', async () => {
      const { chat, job: id } = await failedTurn('jon', 'blocked');
      const jon = stack.as('jon');
      await pause(true);
      const { body: other } = await jon.post('/api/v1/jobs/assistant-reply', { chat_id: chat });
      expect((await requeue(id)).body).toMatchObject({ code: 'turn_in_progress', job_id: other.id });
      await jon.patch(`/api/v1/jobs/${other.id}`, { status: 'canceled' });
      await jon.patch(`/api/v1/chats/${chat}`, { status: 'archived' });
      expect((await requeue(id)).body.code).toBe('chat_not_active');
      await jon.patch(`/api/v1/chats/${chat}`, { status: 'active' });
      await jon.post(`/api/v1/chats/${chat}/messages`, { content: 'never mind' });
      expect((await requeue(id)).body).toMatchObject({
        code: 'invalid_transition',
        message: expect.stringContaining('newer message'),
      });
      expect((await job(id)).status).toBe('failed');
    });

    it('once, however many operators try at the same time, and never beside a turn of the user', async () => {
      for (let round = 0; round < 5; round++) {
        const { chat, job: id } = await failedTurn(`kay${round}`, `race ${round}`);
        const kay = stack.as(`kay${round}`);
        await pause(true);
        const answers = await Promise.all([
          requeue(id),
          requeue(id),
          kay.turn(chat, 'mine first', { prefer: 'respond-async' }),
          requeue(id),
        ]);
        const won = answers.filter(({ status }) => status < 300);
        expect(won).toHaveLength(1);
        const { rows } = await edit(
          `SELECT count(*)::int AS n FROM jobs WHERE chat_id = $1 AND status = 'queued'`,
          chat,
        );
        expect(rows).toEqual([{ n: 1 }]);
        await pause(false);
        await kay.finalJob(won[0]?.body.id);
      }
    });
  });

  describe('see usage', () => {
    it('per day, assistant and user: calls by outcome, and all of their tokens, even of failed calls', async () => {
      const chat = (await stack.as('lea').chat()).id;
      const other = (await stack.as('max').chat('billing')).id;
      await stack.as('lea').turn(chat, 'one');
      await stack.as('lea').turn(chat, 'two');
      await stack.as('max').turn(other, 'three');
      const days: [string, string, string][] = [
        ['lea', '2026-01-04T23:59:59.999Z', 'one'],
        ['lea', '2026-01-05T00:00:00Z', 'two'],
        ['max', '2026-01-05T12:00:00Z', 'three'],
      ];
      for (const [user, at, text] of days) {
        await edit(
          `UPDATE model_calls SET started_at = $1 FROM jobs j JOIN messages m ON m.id = j.user_message_id
            WHERE j.id = model_calls.job_id AND m.content = $2 AND j.user_id = $3`,
          at,
          text,
          user,
        );
      }
      await edit(
        `UPDATE model_calls SET outcome = 'lost', input_tokens = 7, output_tokens = 5 WHERE user_id = 'max' AND started_at < '2026-02-01'`,
      );
      const usage = async (query: string) =>
        (await ops.get(`/api/v1/admin/usage?from=2026-01-04&to=2026-01-05&${query}`)).body;
      const none = { running: 0, completed: 0, failed: 0, canceled: 0, handed_back: 0, lost: 0 };
      const figures = {
        input_tokens: expect.any(Number),
        output_tokens: expect.any(Number),
        cache_read_tokens: expect.any(Number),
        cache_write_tokens: expect.any(Number),
        thinking_tokens: expect.any(Number),
        // There are no prices.
        cost: null,
      };
      const lost = { ...figures, input_tokens: 7, output_tokens: 5 };
      const whole = await usage('');
      expect(whole).toMatchObject({
        from: '2026-01-04',
        to: '2026-01-05',
        currency: null,
        has_more: false,
        after: null,
      });
      expect(whole.data).toEqual([
        {
          day: '2026-01-04',
          assistant: 'support',
          user_id: 'lea',
          calls: { ...none, completed: 1 },
          ...figures,
        },
        {
          day: '2026-01-05',
          assistant: 'billing',
          user_id: 'max',
          calls: { ...none, lost: 1 },
          ...lost,
        },
        {
          day: '2026-01-05',
          assistant: 'support',
          user_id: 'lea',
          calls: { ...none, completed: 1 },
          ...figures,
        },
      ]);
      const [first, , third] = whole.data;
      expect((await usage('group_by=user')).data).toEqual([
        {
          user_id: 'lea',
          calls: { ...none, completed: 2 },
          ...figures,
          input_tokens: first.input_tokens + third.input_tokens,
          output_tokens: first.output_tokens + third.output_tokens,
        },
        { user_id: 'max', calls: { ...none, lost: 1 }, ...lost },
      ]);
      expect((await usage('group_by=assistant,day&user=max')).data).toMatchObject([
        { day: '2026-01-05', assistant: 'billing' },
      ]);
      expect((await usage('assistant=support&group_by=day')).data).toHaveLength(2);
      expect((await ops.get('/api/v1/admin/usage?from=2026-01-05&to=2026-01-05&group_by=day')).body.data).toHaveLength(
        1,
      );

      // A cursor can hold any user id.
      await edit(`UPDATE model_calls SET user_id = $1 WHERE started_at < '2026-01-05'`, '\u0001"é'.repeat(85));
      const odd = await usage('');
      const found: unknown[] = [];
      for (let after = ''; ;) {
        const page = await usage(`limit=1${after}`);
        found.push(...page.data);
        if (!page.has_more) break;
        after = `&after=${page.after}`;
      }
      expect(found).toEqual(odd.data);
      // Entries of deleted users, and those of an older version, stay in the sums.
      await edit(
        `UPDATE model_calls SET user_id = NULL, assistant_slug = NULL WHERE user_id = 'max' AND started_at < '2026-02-01'`,
      );
      expect((await usage('')).data).toContainEqual(
        expect.objectContaining({ day: '2026-01-05', assistant: null, user_id: null, input_tokens: 7 }),
      );
    });

    it('of the last seven days by default', async () => {
      await stack.as('liv').turn((await stack.as('liv').chat()).id, 'today');
      const { from, to, data } = (await ops.get('/api/v1/admin/usage?group_by=day')).body;
      expect(Date.parse(to) - Date.parse(from)).toBe(6 * 24 * 60 * 60 * 1_000);
      expect(data.length).toBeGreaterThan(0);
    });
  });
});

/** The whole answer, except its date. */
async function wholeAnswer(
  client: Client,
  method: string,
  path: string,
  options: { body?: object; raw?: string; headers: Record<string, string> },
) {
  const { status, headers, body } = await client.request(method, path, options);
  const kept = [...headers].filter(([name]) => !['date', 'keep-alive', 'connection'].includes(name));
  return { status, headers: Object.fromEntries(kept), body };
}
