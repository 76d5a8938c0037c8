import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { onServer } from '../support/database.js';
import { type App } from '../support/processes.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';
import { wire } from '../support/wire.js';

/** Texts that no log may contain. Each is a word that occurs nowhere else. */
const CANARY = {
  prompt: 'canary-prompt-qpxz',
  reply: 'canary-reply-qpxz',
  systemPrompt: 'canary-system-qpxz',
  title: 'canary-title-qpxz',
  metadata: 'canary-metadata-qpxz',
  user: 'canary-user-qpxz@example.org',
  secret: 'canary-secret-qpxz-that-is-long-enough-for-hs256',
  apiKey: 'sk-canary-key-qpxz',
  path: 'canary-path-qpxz',
  query: 'canary-query-qpxz',
  header: 'canary-header-qpxz',
  cookie: 'canary-cookie-qpxz',
  userinfo: 'canary-userinfo-qpxz',
};

/** Texts that no answer may contain: they show where it comes from, how it is made, and with what. */
const INTERNALS = {
  stack: /(\n|\\n)\s+at |[jt]s:\d+|<anonymous>/,
  path: /node_modules|\bdist\b|\.[cm]?[jt]s\b|\/(tmp|home|root|usr|app)\//,
  sql: /\b(SELECT|INSERT|UPDATE|RETURNING)\b|relation|constraint|violates|column|syntax|trigger|no_such_text|\b(23514|P0001|42P01|57P\d\d)\b/,
  fault: /\w+Error\b|Cannot |undefined|ECONN|ENOTFOUND|timeout/,
  parts: /postgres|redis|bullmq|typeorm|fastify|FST_|nest|anthropic|node\b|pg\b/i,
  address: /\b(127\.0\.0\.1|localhost|\[::1?\])/,
};

type Line = Record<string, any>;

const linesOf = (app: App): Line[] =>
  app
    .output()
    .trim()
    .split('\n')
    .map((line) => {
      try {
        return JSON.parse(line) as Line;
      } catch {
        throw new Error(`This is no line of JSON: ${line}`);
      }
    });

describe('the logs of a run at LOG_LEVEL=trace', () => {
  let home: string;
  let stack: Stack;
  let token: string;
  let worker: App;
  let migrations = '';
  /** Every answer, with its status and headers. */
  const answers: string[] = [];
  const ids = { request: 'request-of-the-logs', job: '', chat: '' };

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'rejoinder-logs-'));
    const assistants = join(home, 'assistants.yaml');
    await writeFile(
      assistants,
      `assistants:
  - { slug: support, name: Support, description: d, system_prompt: ${CANARY.systemPrompt}, welcome_message: hi, model: a-model }`,
    );
    stack = await startStack({
      env: {
        LOG_LEVEL: 'trace',
        LOG_FORMAT: 'json',
        JWT_SECRET: CANARY.secret,
        ANTHROPIC_API_KEY: CANARY.apiKey,
        ASSISTANTS_FILE: assistants,
        METRICS_PORT: '0',
      },
    });
    worker = stack.workers[0] as App;
    token = tokenFor(CANARY.user, {}, CANARY.secret);
    await run();
    await Promise.all([stack.api.stop(), worker.stop()]);
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(home, { recursive: true, force: true });
  });

  const call = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<any> => {
    const response = await fetch(new URL(path, stack.api.url), {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    answers.push(`${method} ${path}\n${response.status}\n${JSON.stringify([...response.headers])}\n${text}`);
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  };

  /** Successes, faults of the model that repeat the request, bad input, and a database that fails and goes away. */
  async function run(): Promise<void> {
    const opened = await call('POST', '/api/v1/assistants/support/chats');
    ids.chat = opened.body.id;
    await call('PATCH', `/api/v1/chats/${ids.chat}`, {
      title: CANARY.title,
      metadata: { [CANARY.metadata]: CANARY.metadata },
    });
    const turns = `/api/v1/chats/${ids.chat}/turns`;
    const say = (how: string, headers?: Record<string, string>): Promise<any> =>
      call('POST', turns, { user_message: `${how} ${CANARY.prompt}`, metadata: { [CANARY.metadata]: 'x' } }, headers);

    await stack.model.script('well', { text: `fine ${CANARY.reply}`, stop_reason: CANARY.reply }, 1);
    const answered = await say('well', { 'x-request-id': ids.request, 'idempotency-key': CANARY.header });
    expect(answered.status).toBe(200);
    ids.job = answered.body.job_id;

    const echo = `cannot make sense of "${CANARY.prompt}" nor of ${CANARY.apiKey}`;
    await stack.model.script('refused', { status: 400, error_type: CANARY.prompt, message: echo }, 1);
    await stack.model.script('later', { status: 529, error_type: 'overloaded_error', message: echo }, 1);
    await stack.model.script('a page', { body: `<p>${CANARY.prompt}</p>`, content_type: 'text/html' }, 1);
    await stack.model.script(
      'breaks',
      { pieces: [CANARY.reply], error_event_after: 1, error_type: 'api_error', message: echo },
      1,
    );
    for (const how of ['refused', 'later', 'a page', 'breaks']) await say(how);

    await call('POST', turns, `{"user_message": "${CANARY.prompt}`);
    await call('POST', turns, `{"user_message": "x", "${CANARY.metadata}": 1}`);
    await call('POST', turns, { user_message: 'x' }, { authorization: `Bearer ${token}x` });
    await call('GET', `/api/v1/chats/${CANARY.path}?${CANARY.query}=${CANARY.query}`);
    await call('GET', `/${CANARY.path}/${token}?access_token=${token}`);
    await call('GET', `/api/v1/chats/%ff${CANARY.path}`);
    for (const request of [
      `NO ${CANARY.path} ${CANARY.header}\r\n\r\n`,
      `GET http://${CANARY.userinfo}:${CANARY.userinfo}@x/api/v1/chats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      `GET /api/v1/chats HTTP/1.1\r\nHost: ${CANARY.header}\r\nX-Request-Id: \x1b[2J${CANARY.header}\r\nConnection: close\r\n\r\n`,
    ]) {
      answers.push(`${request}\n${await wire(stack.api.url, request)}`);
    }
    // Secrets in wrong places, and control characters for terminals.
    const orders = `\x1b[2J\r\n{"level":"fatal"}\u009b31m ${CANARY.header}`;
    const forged = tokenFor(`${CANARY.user}${orders}`, {}, CANARY.secret);
    await call('GET', '/api/v1/chats', undefined, { authorization: `Bearer ${forged}` });
    await call('GET', `/api/v1/jobs/${token}`);
    await call('GET', `/api/v1/assistants/${encodeURIComponent(orders)}`);
    await call('POST', turns, { user_message: `well then ${orders}`, metadata: { [orders]: orders } });
    await call('GET', `/api/v1/chats?access_token=${token}`, undefined, {
      authorization: `Basic ${Buffer.from(`me:${CANARY.cookie}`).toString('base64')}`,
      cookie: `session=${CANARY.cookie}; token=${token}`,
      'x-api-key': CANARY.apiKey,
      referer: `https://example.org/?token=${token}`,
      traceparent: `00-${CANARY.header}-${token}-01`,
      tracestate: `a=${CANARY.header}`,
      'user-agent': CANARY.header,
      'x-forwarded-for': CANARY.header,
      'last-event-id': CANARY.header,
    });

    // PostgreSQL's error repeats the refused row, and a function its arguments.
    await stack.database.query(`
      ALTER TABLE messages ADD CONSTRAINT no_such_text CHECK (content NOT LIKE 'refuse the row%') NOT VALID;
      CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.content LIKE '%complain%' THEN RAISE EXCEPTION 'what is "%"', NEW.content; END IF; RETURN NEW; END $$;
      CREATE TRIGGER complain BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION complain()`);
    expect((await say('refuse the row')).status).toBe(500);
    expect((await say('complain about')).status).toBe(500);
    // A table that differs from the expected one, and a bug: a row that cannot exist.
    await stack.database.query('ALTER TABLE chats ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL');
    await stack.database.query('UPDATE chats SET created_at = NULL');
    expect((await call('GET', `/api/v1/chats/${ids.chat}`)).status).toBe(500);
    await stack.database.query('UPDATE chats SET created_at = now()');
    await stack.database.query('ALTER TABLE messages RENAME COLUMN content TO words');
    expect((await call('GET', `/api/v1/chats/${ids.chat}/messages`)).status).toBe(500);
    // The export breaks off: only that can show that it is incomplete.
    await expect(call('GET', '/api/v1/me/export')).rejects.toThrow();
    await stack.database.query('ALTER TABLE messages RENAME COLUMN words TO content');
    // A failed reply, in a client's stream, and in a later look.
    await stack.model.script(
      'refused again',
      { status: 400, error_type: 'invalid_request_error', message: 'of api.py:7:1' },
      1,
    );
    await say('refused again', { accept: 'text/event-stream' });
    const { rows } = await stack.database.query<{ id: string }>(`SELECT id FROM jobs WHERE status = 'failed'`);
    expect(rows.length).toBeGreaterThan(1);
    for (const { id } of rows) {
      await call('GET', `/api/v1/jobs/${id}`);
      await call('GET', `/api/v1/jobs/${id}/events`, undefined, { accept: 'text/event-stream' });
    }
    await stack.model.script('worker too', { text: `complain about ${CANARY.reply}` }, 1);
    await say('worker too', { prefer: 'wait=2' });

    await onServer(async (server) => {
      await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS false`);
      await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
        stack.databaseName,
      ]);
      try {
        await until(async () => (await say('away')).status === 503, 'the outage');
      } finally {
        await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS true`);
      }
    });
    await until(async () => (await call('GET', '/health/ready')).status === 200, 'the database');

    const migrate = (env: Record<string, string>): Promise<string> =>
      new Promise((resolve) => {
        execFile(
          process.execPath,
          ['dist/bin/migrate.js'],
          { env: { PATH: process.env['PATH'], ...env } },
          (_, out, err) => resolve(out + err),
        );
      });
    migrations += await migrate({ DATABASE_URL: stack.databaseUrl });
    migrations += await migrate({ DATABASE_URL: stack.databaseUrl.replace(/\/[^/]+$/, '/no-such-database') });
  }

  it('contain no prompt, reply, title, metadata, user, token, key or password', () => {
    const printed = stack.api.output() + worker.output() + migrations;
    expect(printed.length).toBeGreaterThan(5_000);
    const { password } = new URL(stack.databaseUrl);
    expect(password.length).toBeGreaterThan(10);
    const never = {
      ...CANARY,
      token,
      tokenBody: token.split('.')[1] ?? '',
      signature: token.split('.')[2] ?? '',
      password,
    };
    const found = Object.entries(never).filter(([, canary]) => printed.includes(canary));
    const where = found.map(([name, canary]) => [name, printed.split('\n').find((line) => line.includes(canary))]);
    expect(where).toEqual([]);
    expect(printed).not.toMatch(/qpxz/);
  });

  it('are lines that no client can shape: without control characters, and of limited length', () => {
    for (const app of [stack.api, worker]) {
      // eslint-disable-next-line no-control-regex -- what a terminal takes for orders
      expect(app.output()).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
      expect(
        Math.max(
          ...app
            .output()
            .split('\n')
            .map((line) => line.length),
        ),
      ).toBeLessThan(4_096);
    }
  });

  it('keep internals out of the answers: no stack, path, SQL, error text, component or version', () => {
    expect(answers.length).toBeGreaterThan(30);
    // Without the request's line, texts of the chat, and the time for which a connection is kept.
    const beside = /^.*\n|"content":"([^"\\]|\\.)*"|\["keep-alive","[^"]*"\]/g;
    const shown = answers.map((answer) => answer.replace(beside, ''));
    const failed = shown.filter((answer) => /"code":"(internal|unavailable|assistant_failed)"/.test(answer));
    expect(failed.length).toBeGreaterThan(5);
    const found = Object.entries({
      ...INTERNALS,
      key: CANARY.apiKey,
      secret: CANARY.secret,
      prompt: CANARY.systemPrompt,
    })
      .flatMap(([name, internal]) => shown.map((answer) => [name, answer.match(internal)?.[0], answer] as const))
      .filter(([, what]) => what !== undefined);
    expect(found).toEqual([]);
  });

  it('are lines of JSON, each with its time, level, app and message', () => {
    for (const [app, name] of [
      [stack.api, 'api'],
      [worker, 'worker'],
    ] as const) {
      for (const line of linesOf(app)) {
        expect(line).toMatchObject({
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          level: expect.stringMatching(/^(trace|debug|info|warn|error|fatal)$/),
          app: name,
          msg: expect.stringMatching(/./),
        });
      }
    }
  });

  it('follow a turn from its request to the end of its attempt, by the same ids and the same tag of its user', () => {
    const about = (app: App, msg: string): Line | undefined =>
      linesOf(app).find((line) => line['request_id'] === ids.request && line['msg'] === msg);
    const user = about(stack.api, 'answered')?.['user'];
    expect(user).toMatch(/^[\w-]{11}$/);
    expect(about(stack.api, 'turn accepted')).toMatchObject({ level: 'info', job_id: ids.job, chat_id: ids.chat });
    expect(about(stack.api, 'answered')).toMatchObject({
      level: 'info',
      context: 'http',
      method: 'POST',
      route: '/api/v1/chats/{chat_id}/turns',
      status: 200,
      chat_id: ids.chat,
      ms: expect.any(Number),
    });
    const attempt = { job_id: ids.job, chat_id: ids.chat, attempt: 1, assistant: 'support', user };
    expect(about(worker, 'attempt begins')).toMatchObject(attempt);
    expect(about(worker, 'replied')).toMatchObject({
      ...attempt,
      stop_reason: 'other',
      output_tokens: expect.any(Number),
    });
  });

  it('say an error’s kind and place, instead of its message', () => {
    const refusals = linesOf(stack.api).filter(({ msg, code }) => msg === 'refused' && code === 'internal');
    expect(refusals.map(({ error }) => error)).toEqual([
      expect.objectContaining({
        type: 'QueryFailedError',
        code: '23514',
        constraint: 'no_such_text',
        table: 'messages',
      }),
      expect.objectContaining({ type: 'QueryFailedError', code: 'P0001' }),
      expect.objectContaining({ type: 'TypeError' }),
      expect.objectContaining({ type: 'QueryFailedError', code: '42703' }),
    ]);
    for (const { error } of refusals) expect(error.stack).toMatch(/^\s+at .*:\d+:\d+/);
    const failed = linesOf(worker).filter(({ msg }) => String(msg).startsWith('attempt failed'));
    expect(failed.map(({ code, error }) => [code, error.message, error.cause?.code])).toEqual(
      expect.arrayContaining([
        ['model_rejected', 'The model refused the request (400).', '400'],
        ['model_unavailable', 'The model is overloaded or failing.', '529'],
      ]),
    );
  });
});
