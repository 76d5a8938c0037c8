import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { preparingPg } from '#database/prepared-client.js';
import { PgNotifications } from '#feed/pg-notifications.js';
import { collect, openStream, textOf } from '../support/events.js';
import { freshDatabase, type TestDatabase } from '../support/database.js';
import { has } from '../support/machine.js';
import { type PgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { Pace } from '../support/pace.js';
import { runProgram } from '../support/processes.js';
import { SECRET, type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** Skipped without PgBouncer, which CI installs. */
const withPgBouncer = has('pgbouncer') || process.env['CI'] === 'true' ? describe : describe.skip;

const SETTINGS = { JWT_SECRET: SECRET, PORT: '0', WORKER_PORT: '0', ANTHROPIC_API_KEY: 'none' };

withPgBouncer('PgBouncer in session mode, set up as the page says', () => {
  let stack: Stack;
  let pooler: Promise<PgBouncer> | undefined;
  beforeAll(async () => {
    stack = await startStack({
      through: async (_, { DATABASE_URL }) => {
        pooler ??= startPgBouncer(DATABASE_URL);
        return { DATABASE_URL: (await pooler).url };
      },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await (await pooler)?.stop();
  });

  it('turns begin at once, streams bring text as it is written, and the queue is up', async () => {
    const ana = stack.as('ana');
    const ready = await ana.get('/health/ready');
    expect(ready.body.checks).toMatchObject({ database: 'ok', queue: 'ok' });
    const chat = await ana.chat();
    await stack.model.script('piece by piece', { pieces: ['one ', 'two ', 'three'], piece_delay_ms: 100 });
    const pace = await Pace.watch();
    const begun = Date.now();
    for (let n = 0; n < 2; n++) expect((await ana.turn(chat.id, `question ${n}`)).status).toBe(200);
    const job = await ana.turnAsync(chat.id, 'piece by piece');
    const events = await collect(await openStream(stack.api.url, tokenFor('ana'), `/api/v1/jobs/${job.id}/events`));
    expect(textOf(events)).toBe('one two three');
    expect(events.filter(({ event }) => event === 'delta').length).toBeGreaterThan(1);
    expect(Date.now() - begun).toBeLessThan(pace.bound(4_000));
    for (const app of [stack.api, ...stack.workers]) expect(app.output()).not.toMatch(/WARN|ERROR|startup parameter/);
  });

  it('a cancel reaches the worker, even one with the smallest pools', async () => {
    await Promise.all(stack.workers.map((worker) => worker.stop()));
    await stack.startWorker({ DATABASE_POOL_SIZE: '2' });
    await stack.model.script('never ends', { pieces: ['well'], stall_after: 1 });
    const ben = stack.as('ben');
    const job = await ben.turnAsync((await ben.chat()).id, 'never ends');
    await until(async () => (await stack.model.calls('never ends')).length > 0, 'the call');
    const pace = await Pace.watch();
    const asked = Date.now();
    expect((await ben.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' })).body.status).toBe('canceled');
    expect(Date.now() - asked).toBeLessThan(pace.bound(700));
  });

  it('migrations run through it', async () => {
    expect(await runProgram('migrate', { DATABASE_URL: (await pooler)?.url ?? '' })).toEqual({
      code: 0,
      printed: 'The database is up to date.\n',
    });
  });
});

withPgBouncer('PgBouncer that does not reset its sessions', () => {
  it('passes on sessions with prepared statements, and the next client prepares the same ones', async () => {
    const database = await freshDatabase();
    const pooler = await startPgBouncer(database.url, { default_pool_size: '1', server_reset_query: '' });
    try {
      for (let client = 0; client < 2; client++) {
        const pool = new preparingPg.Pool({ connectionString: pooler.url, max: 1 });
        expect((await pool.query('SELECT $1::int AS n', [client])).rows).toEqual([{ n: client }]);
        await pool.end();
      }
    } finally {
      await pooler.stop();
      await database.drop();
    }
  });
});

describe('a pooler that passes no notices on', () => {
  it('is detected at start', async () => {
    const database = await freshDatabase();
    const notifications = new PgNotifications(database.url, 'rejoinder-test-feed', {
      check: 60_000,
      echo: 60_000,
      answer: 200,
    });
    try {
      // The query claims to have sent a notice, and none comes.
      const started = notifications.start({ query: async () => undefined });
      await expect(started).rejects.toThrow(/^DATABASE_URL leads to something that does not pass notices on/);
    } finally {
      await notifications.onApplicationShutdown();
      await database.drop();
    }
  });
});

withPgBouncer('PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let pooler: PgBouncer;
  beforeAll(async () => {
    database = await freshDatabase();
    pooler = await startPgBouncer(database.url, { pool_mode: 'transaction' });
  });
  afterAll(async () => {
    await pooler?.stop();
    await database?.drop();
  });

  it.each(['api', 'worker', 'migrate'] as const)(
    'is detected when %s starts: it refuses, and names the setting',
    async (program) => {
      const { code, printed } = await runProgram(program, { ...SETTINGS, DATABASE_URL: pooler.url });
      expect([code, printed]).toEqual([
        1,
        expect.stringMatching(/^DATABASE_URL leads to a pooler in transaction mode: .*\n$/),
      ]);
    },
  );
});
