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

/** What must never be in a log. Each is a word that is nowhere else. */
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
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  };

  /** Successes, faults of the model that repeat what they were sent, bad input, and a database that fails and goes away. */
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
    await wire(stack.api.url, `NO ${CANARY.path} ${CANARY.header}\r\n\r\n`);

    // PostgreSQL repeats the row that it refuses, and a function what it was given.
    await stack.database.query(`
      ALTER TABLE messages ADD CONSTRAINT no_such_text CHECK (content NOT LIKE 'refuse the row%') NOT VALID;
      CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.content LIKE '%complain%' THEN RAISE EXCEPTION 'what is "%"', NEW.content; END IF; RETURN NEW; END $$;
      CREATE TRIGGER complain BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION complain()`);
    expect((await say('refuse the row')).status).toBe(500);
    expect((await say('complain about')).status).toBe(500);
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

  it('hold no prompt, reply, title, metadata, user, token, key or password', () => {
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

  it('are lines of JSON, each with its time, level, app and words', () => {
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

  it('follow a turn from its request to the end of its attempt, by the same ids and the same mark for its user', () => {
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
    expect(about(worker, 'attempt begun')).toMatchObject(attempt);
    expect(about(worker, 'replied')).toMatchObject({
      ...attempt,
      stop_reason: 'other',
      output_tokens: expect.any(Number),
    });
  });

  it('say of a fault what kind it is and where it came up, in place of what it quotes', () => {
    const refusals = linesOf(stack.api).filter(({ msg, code }) => msg === 'refused' && code === 'internal');
    expect(refusals.map(({ error }) => error)).toEqual([
      expect.objectContaining({
        type: 'QueryFailedError',
        code: '23514',
        constraint: 'no_such_text',
        table: 'messages',
      }),
      expect.objectContaining({ type: 'QueryFailedError', code: 'P0001' }),
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
