import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConnectionError, type ExportLine, Rejoinder } from '@rejoinder/client';
import { contract } from '../support/client.js';
import { BadLine } from '../support/bad-line.js';
import { openStream } from '../support/events.js';
import { Pace } from '../support/pace.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const ENDLESS = { pieces: Array.from({ length: 2_000 }, (_, n) => `canary-reply ${n} `), piece_delay_ms: 20 };

const assistant = (slug: string, more: string): string => `
  - slug: ${slug}
    name: ${slug}
    description: ${slug}
    model: m
    welcome_message: Hello
    system_prompt: You are brief.
    ${more}`;

const BULK = `
  WITH chat AS (
    INSERT INTO chats (id, user_id, assistant_slug, status, title, last_seq)
    SELECT gen_random_uuid(), $1, 'support', 'archived', 'canary-title', 50 FROM generate_series(1, $2) RETURNING id
  ), said AS (
    INSERT INTO messages (id, chat_id, seq, role, content)
    SELECT gen_random_uuid(), chat.id, 2 * n - 1, 'user', 'canary-question' FROM chat, generate_series(1, 25) AS n
    RETURNING id, chat_id, seq
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts, attempts_left, started_at, finished_at)
    SELECT gen_random_uuid(), 'assistant-reply', 'succeeded', chat_id, $1, id, 'bulk', 1, 4, now(), now() FROM said
    RETURNING id, user_message_id
  ), call AS (
    INSERT INTO model_calls (job_id, attempt, model, outcome, message_id, input_tokens, output_tokens, ended_at)
    SELECT id, 1, 'bulk', 'completed', 'canary-' || id, 3, 2, now() FROM job
  ), reply AS (
    INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens)
    SELECT gen_random_uuid(), said.chat_id, said.seq + 1, 'assistant', repeat('canary-reply ', 20), job.id, 'm', 'end_turn', 3, 2
      FROM job JOIN said ON said.id = job.user_message_id
  )
  SELECT`;

const CHATS = 500;

describe('data care', () => {
  const file = join(tmpdir(), `assistants-${process.pid}.yaml`);
  let stack: Stack;
  beforeAll(async () => {
    const assistants = [assistant('support', ''), assistant('brief', 'retention_days: 30'), assistant('other', '')];
    await writeFile(file, `assistants:${assistants.join('')}\n`);
    stack = await startStack({ env: { ASSISTANTS_FILE: file } });
  });
  afterAll(async () => {
    await stack.stop();
    await rm(file);
  });

  /** The names of the tables that contain a text, including BullMQ's (whose tickets and events have jobs' ids for a while). */
  const holding = async (text: string): Promise<string[]> => {
    const { rows } = await stack.database.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    const found = await Promise.all(
      rows.map(async ({ name }) => {
        const [row] = (await stack.database.query(`SELECT FROM ${name} t WHERE t::text LIKE $1 LIMIT 1`, [`%${text}%`]))
          .rows;
        return row === undefined ? [] : [name];
      }),
    );
    return found.flat();
  };
  const count = async (sql: string, ...values: unknown[]): Promise<number> =>
    Number((await stack.database.query(`SELECT count(*) AS n FROM ${sql}`, values)).rows[0].n);
  const spent = async (model: string): Promise<object> =>
    (
      await stack.database.query(
        `SELECT count(*)::int AS calls, sum(input_tokens)::int AS input, sum(output_tokens)::int AS output
           FROM model_calls WHERE model = $1`,
        [model],
      )
    ).rows[0];
  const deleteChat = (user: string, id: string, headers = {}) =>
    stack.as(user).request('DELETE', `/api/v1/chats/${id}`, { headers });
  const deleteMe = (user: string, headers = {}, through?: App) =>
    stack.as(user, through).request('DELETE', '/api/v1/me', { headers });
  const makeMuch = (user: string, chats = CHATS) => stack.database.query(BULK, [user, chats]);
  const exported = async (user: string): Promise<any[]> => {
    const { body } = await stack.as(user).get<string>('/api/v1/me/export');
    return body
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  };
  const callOf = async (text: string) => (await stack.model.calls(text))[0];

  it('a deleted chat is gone, with its jobs, its keys and all its texts; its ledger entries stay', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    const key = { 'idempotency-key': 'canary-key' };
    const turn = (await ana.turn(chat.id, 'canary-question', key)).body;
    await ana.post(`/api/v1/chats/${chat.id}/messages`, { content: 'canary-aside' }, { 'idempotency-key': 'canary-2' });
    await ana.post('/api/v1/assistants/support/chats', { title: 'x' }, { 'idempotency-key': 'canary-3' });
    const before = await spent('m');
    const [line] = (await stack.database.query('SELECT * FROM model_calls WHERE job_id = $1', [turn.job_id])).rows;

    expect((await deleteChat('eve', chat.id)).status).toBe(404);
    const etag = (await ana.get(`/api/v1/chats/${chat.id}`)).headers.get('etag') ?? '';
    await ana.patch(`/api/v1/chats/${chat.id}`, { title: 'canary-title' });
    expect((await deleteChat('ana', chat.id, { 'if-match': etag })).status).toBe(412);
    const current = (await ana.get(`/api/v1/chats/${chat.id}`)).headers.get('etag') ?? '';
    expect((await deleteChat('ana', chat.id, { 'if-match': current })).status).toBe(204);

    expect((await deleteChat('ana', chat.id)).status).toBe(404);
    expect((await ana.get(`/api/v1/chats/${chat.id}`)).status).toBe(404);
    expect((await ana.get(`/api/v1/chats/${chat.id}/messages`)).status).toBe(404);
    expect((await ana.get(`/api/v1/jobs/${turn.job_id}`)).status).toBe(404);
    expect((await ana.get('/api/v1/chats')).body.data).toEqual([]);
    // The key goes with its turn.
    expect((await ana.turn(chat.id, 'canary-question', key)).status).toBe(404);
    expect(await holding('canary')).toEqual([]);
    for (const id of [chat.id, turn.job_id, line.message_id]) {
      expect((await holding(id as string)).filter((table) => !table.startsWith('bullmq.'))).toEqual([]);
    }
    expect(await spent('m')).toEqual(before);
    const again = await ana.chat();
    expect(again.id).not.toBe(chat.id);
    expect((await ana.turn(again.id, 'anew')).status).toBe(200);
  });

  it('a chat deleted in mid-reply ends the model call and all waits within a second; nothing is written afterwards', async () => {
    const ben = stack.as('ben');
    await stack.model.script('canary-endless', ENDLESS);
    const chat = await ben.chat();
    const waited = ben.turn(chat.id, 'canary-endless', { 'idempotency-key': 'waited' });
    const jobId = await until(
      async () => ((await ben.get(`/api/v1/chats/${chat.id}`)).body.unfinished_job_id as string | null) ?? undefined,
      'the job',
    );
    const polled = ben.get(`/api/v1/jobs/${jobId}`, { headers: { prefer: 'wait=30' } });
    const stream = await openStream(stack.api.url, tokenFor('ben'), `/api/v1/jobs/${jobId}/events`);
    const seen: string[] = [];
    const streamed = (async () => {
      for await (const { id } of stream.events) seen.push(id ?? '');
    })();
    const followed = new Rejoinder({ baseUrl: stack.api.url, token: tokenFor('ben') }).followJob(jobId).reply();
    followed.catch(() => undefined);
    await until(async () => seen.length > 20, 'some text');

    const pace = await Pace.watch();
    const asked = Date.now();
    expect((await deleteChat('ben', chat.id)).status).toBe(204);
    const twin = await ben.turn(chat.id, 'canary-endless', { 'idempotency-key': 'waited' });
    expect(twin.status).toBe(404);
    const [turn, job] = await Promise.all([waited, polled, streamed]);
    expect([turn.status, turn.body.code, turn.body.job_id]).toEqual([409, 'turn_canceled', jobId]);
    expect(job.status).toBe(404);
    expect(seen).not.toContain('end');
    await expect(followed).rejects.toMatchObject({ name: 'ApiError', code: 'not_found' });
    await until(async () => (await callOf('canary-endless'))?.outcome === 'client_closed', 'the end of the call');
    expect(Date.parse((await callOf('canary-endless'))?.ended_at ?? '') - asked).toBeLessThan(pace.bound(1_000));
    expect(await holding('canary')).toEqual([]);
    // Only the ledger's entry stays.
    const open = `model_calls WHERE outcome = 'running'`;
    expect(await count(open)).toBe(0);
    expect(
      await count(`model_calls WHERE outcome = 'canceled' AND input_tokens > 0 AND output_tokens IS NOT NULL`),
    ).toBe(1);
    expect((await ben.turn((await ben.chat()).id, 'and on')).status).toBe(200);
  });

  it('a chat deleted while turns are sent into it leaves nothing behind, and every answer is an expected one', async () => {
    const statuses = new Set<number>();
    const pace = await Pace.watch();
    await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const client = stack.as(`racer-${n}`);
        const chat = await client.chat();
        const sent = [1, 2, 3].map(async (turn) => {
          await sleep(turn * (n % 10));
          const prefer: Record<string, string> = turn === 2 ? { prefer: 'respond-async' } : {};
          const key = { 'idempotency-key': `race-${turn % 2}` };
          statuses.add((await client.turn(chat.id, 'neck and neck', { ...key, ...prefer })).status);
          await client.post(`/api/v1/assistants/support/chats`, {}, { 'idempotency-key': `open-${turn}` });
        });
        await sleep(n);
        const asked = [];
        do asked.push((await deleteChat(`racer-${n}`, chat.id)).status);
        while (asked.at(-1) === 503);
        expect(asked.pop()).toBe(204);
        for (const status of asked) statuses.add(status);
        await Promise.all(sent);
        expect(await holding(chat.id)).toEqual([]);
      }),
    );
    // A 503 is right only if the machine stood still for as long as a statement waits for a lock.
    const expected = [200, 202, 404, 409, 422, ...(pace.bound(0) > 2_000 ? [503] : [])];
    expect([...statuses].filter((status) => !expected.includes(status))).toEqual([]);
    expect(await count(`jobs j LEFT JOIN chats c ON c.id = j.chat_id WHERE c.user_id IS NULL`)).toBe(0);
  });

  it('the rest of a chat whose deletion died is invisible, and a worker removes it', async () => {
    const lia = stack.as('lia');
    const chat = await lia.chat();
    const key = { 'idempotency-key': 'said' };
    const path = `/api/v1/chats/${chat.id}/messages`;
    expect((await lia.post(path, { content: 'canary-left' }, key)).status).toBe(201);
    const job = (await lia.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id })).body;
    await lia.finalJob(job.id as string);
    await stack.database.query(
      `UPDATE chats SET released_from = user_id, user_id = NULL, updated_at = now() - interval '1 minute' WHERE id = $1`,
      [chat.id],
    );
    expect((await lia.post(path, { content: 'canary-left' }, key)).status).toBe(404);
    expect((await lia.get(`/api/v1/jobs/${job.id}`)).status).toBe(404);
    expect((await exported('lia')).at(-1)).toMatchObject({ chats: 0 });
    await until(async () => (await holding(chat.id)).length === 0, 'a worker');
    expect(await holding('canary')).toEqual([]);
  });

  it('an export has all data of the caller, in the contract’s shapes, and says when it is complete', async () => {
    const kim = stack.as('kim');
    const chats = [await kim.chat(), await kim.chat('other')];
    const turn = (await kim.turn(chats[0]?.id ?? '', 'pregunta 😀\ncon dos líneas')).body;
    await stack.as('leo').turn((await stack.as('leo').chat()).id, 'not kim’s');
    const lines = await exported('kim');
    for (const line of lines) expect(contract.schemaFaults('/components/schemas/ExportLine', line, 'line')).toEqual([]);
    expect(lines[0]).toMatchObject({ type: 'export', version: 1, user: 'kim' });
    expect(lines.slice(1).map(({ type, chat, message, job }) => [type, (chat ?? message ?? job)?.id])).toEqual([
      ['chat', chats[0]?.id],
      ['message', chats[0]?.messages[0]?.id],
      ['message', turn.user_message.id],
      ['message', turn.assistant_message.id],
      ['job', turn.job_id],
      ['chat', chats[1]?.id],
      ['message', chats[1]?.messages[0]?.id],
      ['end', undefined],
    ]);
    expect(lines[3].message).toEqual(turn.user_message);
    expect(lines[4].message).toEqual(turn.assistant_message);
    expect(lines.at(-1)).toEqual({ type: 'end', chats: 2, messages: 4, jobs: 1 });
    expect((await exported('nobody')).map(({ type }) => type)).toEqual(['export', 'end']);

    const answer = await kim.request('HEAD', '/api/v1/me/export');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/jsonl; charset=utf-8']);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const json = { headers: { accept: 'application/json' } };
    expect((await kim.get('/api/v1/me/export', json)).body.code).toBe('not_acceptable');
    expect((await kim.get('/api/v1/me/export', { headers: { accept: 'application/*' } })).status).toBe(200);
  });

  it('the client deletes once, even if the answer is lost, and notices an export that broke off', async () => {
    const line = await BadLine.to(stack.api.url, (n) =>
      n === 0 ? { loseAnswer: true } : n === 2 ? { cutAfter: 900 } : undefined,
    );
    const pia = new Rejoinder({
      baseUrl: line.url,
      token: tokenFor('pia'),
      onRetry: () => undefined,
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init?.headers, connection: 'close' } }),
    });
    const client = new Rejoinder({ baseUrl: stack.api.url, token: tokenFor('pia') });
    const seen = await client.openChat('support').then(({ id }) => client.getChat(id));
    await client.updateChat(seen.id, { title: 'another' });
    await expect(client.deleteChat(seen.id, { ifUnchanged: seen })).rejects.toMatchObject({
      code: 'precondition_failed',
    });
    await pia.deleteChat(seen.id);
    await expect(client.deleteChat(seen.id)).rejects.toMatchObject({ code: 'not_found' });
    await client.sendTurn((await client.openChat('support')).id, 'hello');
    const read: string[] = [];
    const reading = (async () => {
      for await (const { type } of pia.exportMe()) read.push(type);
    })();
    await expect(reading).rejects.toThrow(ConnectionError);
    expect(read[0]).toBe('export');
    expect(read).not.toContain('end');
    const receipt = await client.deleteMe();
    expect(receipt).toMatchObject({ chats: 1, messages: 3, jobs: 1, idempotency_keys: 2 });
    expect((await stack.as('anybody').get(`/api/v1/receipts/${receipt.id}`)).body).toEqual(receipt);
    line.close();
  });

  it('much data is exported completely to a slow reader, in little memory, and cut when the process stops', async () => {
    await makeMuch('big-canary');
    const api = await stack.startApi();
    const memory = async (): Promise<number> => {
      const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(api.process.pid)]);
      return Number(stdout) / 1024;
    };
    const before = await memory();
    const big = new Rejoinder({ baseUrl: api.url, token: tokenFor('big-canary') });
    const counts: Record<string, number> = {};
    let [read, most] = [0, 0];
    for await (const line of big.exportMe()) {
      counts[line.type] = (counts[line.type] ?? 0) + 1;
      if (line.type === 'end') expect(line).toMatchObject({ chats: CHATS, messages: 50 * CHATS, jobs: 25 * CHATS });
      if (read++ % 5_000 !== 0) continue;
      await sleep(20);
      most = Math.max(most, await memory());
    }
    expect(counts).toEqual({ export: 1, chat: CHATS, message: 50 * CHATS, job: 25 * CHATS, end: 1 });
    // All of it is 16 MB as text, and several times that as rows.
    expect(most - before).toBeLessThan(80);

    const lines: ExportLine[] = [];
    let stopped: Promise<number | null> | undefined;
    const cut = (async () => {
      for await (const line of big.exportMe()) {
        lines.push(line);
        stopped ??= api.stop();
        if (lines.length % 500 === 0) await sleep(250);
      }
    })();
    await expect(cut).rejects.toThrow(ConnectionError);
    expect(lines.map(({ type }) => type)).not.toContain('end');
    expect(await stopped).toBe(0);
  });

  it('a client that leaves an export costs nothing more', async () => {
    const { hostname, port } = new URL(stack.api.url);
    const socket = connect(Number(port), hostname, () =>
      socket.write(
        `GET /api/v1/me/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('big-canary')}\r\n\r\n`,
      ),
    );
    await new Promise((resolve) => socket.once('data', resolve));
    socket.destroy();
    expect((await stack.as('big-canary').get('/api/v1/chats')).status).toBe(200);
    expect(stack.api.output()).not.toContain('an export failed');
  });

  it('much data is deleted completely, even if the process that was asked dies in the middle', async () => {
    const asked = Date.now();
    const big = stack.as('big-canary');
    const running = await big.turnAsync((await big.chat()).id, 'canary-endless');
    const call = async () =>
      (await stack.model.calls('canary-endless')).find(({ received_at }) => Date.parse(received_at) >= asked);
    await until(async () => (await call())?.outcome === 'running', 'the call');
    const before = await spent('bulk');
    const left = () =>
      count('messages m JOIN chats c ON c.id = m.chat_id WHERE $1 IN (c.user_id, c.released_from)', 'big-canary');
    const all = await left();
    const api = await stack.startApi();
    const died = deleteMe('big-canary', {}, api).catch(() => 'died');
    await until(async () => (await left()) < all, 'the first to be removed');
    await api.kill();
    expect(await died).toBe('died');
    expect(await left()).toBeGreaterThan(0);
    // Nothing of it can be found at once, including the jobs.
    await until(async () => (await big.get('/api/v1/chats')).body.data.length === 0, 'the chats to be released');
    expect((await big.get(`/api/v1/jobs/${running.id}`)).status).toBe(404);

    const [open] = (await stack.database.query('SELECT id FROM receipts WHERE user_id IS NOT NULL')).rows;
    const { status, body: receipt } = await deleteMe('big-canary');
    expect([status, receipt.id]).toEqual([200, open.id]);
    expect(receipt).toMatchObject({ chats: CHATS + 1, messages: 50 * CHATS + 2, jobs: 25 * CHATS + 1 });
    expect(Date.parse(receipt.deleted_at as string)).toBeGreaterThanOrEqual(Date.parse(receipt.requested_at as string));
    expect(await holding('canary')).toEqual([]);
    // Only numbers are kept: the receipt names no user, and the ledger no job.
    expect(await count('receipts WHERE id = $1 AND user_id IS NULL', receipt.id)).toBe(1);
    expect(await spent('bulk')).toEqual(before);
    expect(
      await count('model_calls c LEFT JOIN jobs j ON j.id = c.job_id WHERE j.id IS NULL AND c.model = $1', 'bulk'),
    ).toBe(25 * CHATS);
    await until(async () => (await call())?.outcome === 'client_closed', 'the end of the call');
    // A user without data gets a receipt, too, which is not stored.
    const nothing = (await deleteMe('big-canary')).body;
    expect([nothing.chats, nothing.id === receipt.id, await count('receipts WHERE id = $1', nothing.id)]).toEqual([
      0,
      false,
      0,
    ]);
  });

  it('workers carry out a deletion that no client waits for; what is made meanwhile stays or goes completely', async () => {
    const mia = stack.as('mia');
    await makeMuch('mia', 50);
    const first = await mia.chat();
    const asked = await deleteMe('mia', { prefer: 'respond-async' });
    expect([asked.status, asked.body.deleted_at]).toEqual([202, null]);
    const location = asked.leads(asked.headers.get('location'));
    // Until the deletion has ended, only its user can read the receipt.
    expect((await stack.as('eve').get(location)).status).toBe(404);
    const statuses = new Set<number>();
    const ended = until(async () => {
      const { body } = await mia.get(location);
      return body.deleted_at !== null;
    }, 'the end');
    let over = false;
    void ended.finally(() => (over = true));
    while (!over) {
      const opened = await mia.post('/api/v1/assistants/support/chats');
      const turn = await mia.turn(opened.body.id as string, 'meanwhile', { 'idempotency-key': `k${Math.random()}` });
      statuses.add(opened.status).add(turn.status);
      await sleep(50);
    }
    await ended;
    expect([...statuses].filter((status) => ![200, 201, 404, 409].includes(status))).toEqual([]);
    expect((await mia.get(`/api/v1/chats/${first.id}`)).status).toBe(404);
    const lines = await exported('mia');
    expect(lines.at(-1)).toMatchObject({ type: 'end', chats: 1 });
    const chat = lines[1].chat.id as string;
    expect(await count('messages WHERE chat_id = $1', chat)).toBe(lines.at(-1).messages);
    expect((await mia.turn(chat, 'and on')).status).toBe(200);
    expect((await deleteMe('mia')).body).toMatchObject({ chats: 1 });
    // The count of her open export is written off a moment after the export was read.
    await until(async () => (await holding('mia')).length === 0, 'all of it to be gone', 5_000);
  });

  it('chats are kept for their assistant’s time after their last message, and no longer', async () => {
    expect((await stack.as('ned').get('/api/v1/assistants/brief')).body.retention_days).toBe(30);
    expect((await stack.as('ned').get('/api/v1/assistants/support')).body).not.toHaveProperty('retention_days');
    await stack.database.query(`
      INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens, retired_at, retention_days)
      VALUES ('retired', 'R', 'R', 'P', 'W', 'm', 10, now(), 1)`);
    const chats: Record<string, string> = {};
    for (const [name, slug, days] of [
      ['old', 'brief', 31],
      ['young', 'brief', 29],
      ['old, with a turn', 'brief', 31],
      ['old, of one that keeps', 'support', 3_000],
      ['old, of one that is gone', 'retired', 2],
    ] as const) {
      const { rows } = await stack.database.query(
        `INSERT INTO chats (id, user_id, assistant_slug, status, last_message_at)
         VALUES (gen_random_uuid(), 'ned', $1, 'archived', now() - make_interval(days => $2)) RETURNING id`,
        [slug, days],
      );
      chats[name] = rows[0].id as string;
    }
    await stack.database.query(
      `WITH m AS (INSERT INTO messages (id, chat_id, seq, role, content)
                  VALUES (gen_random_uuid(), $1, 1, 'user', 'hi') RETURNING id)
       INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left, available_at)
       SELECT gen_random_uuid(), 'assistant-reply', 'queued', $1, 'ned', id, 'r', 5, now() + interval '1 hour' FROM m`,
      [chats['old, with a turn']],
    );
    await stack.startWorker();
    const there = async (): Promise<string[]> => {
      const { rows } = await stack.database.query(`SELECT id FROM chats WHERE id = ANY($1)`, [Object.values(chats)]);
      return Object.keys(chats).filter((name) => rows.some(({ id }) => id === chats[name]));
    };
    const kept = ['young', 'old, with a turn', 'old, of one that keeps'];
    await until(async () => (await there()).length <= kept.length, 'the old ones to be removed');
    expect(await there()).toEqual(kept);
  });
});
