import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { SessionClient } from '#database/session-client.js';
import { freshDatabase, onServer, type TestDatabase } from '../support/database.js';
import { runProgram } from '../support/processes.js';
import { startStack } from '../support/stack.js';

/**
 * For each setting on which the service relies: a default that breaks something, and the value in the service's sessions. Another test
 * leaves `default_transaction_read_only` on for a whole server (`faults/switchover`).
 */
const DEFAULTS: Readonly<Record<string, readonly [theirs: string, ours: string]>> = {
  TimeZone: ['Asia/Kathmandu', 'UTC'],
  DateStyle: ['SQL, DMY', 'ISO, YMD'],
  IntervalStyle: ['sql_standard', 'postgres'],
  extra_float_digits: ['-15', '1'],
  bytea_output: ['escape', 'hex'],
  client_encoding: ['LATIN1', 'UTF8'],
  standard_conforming_strings: ['off', 'on'],
  array_nulls: ['off', 'on'],
  transform_null_equals: ['on', 'off'],
  default_transaction_isolation: ['serializable', 'read committed'],
  default_transaction_read_only: ['on', 'off'],
  default_transaction_deferrable: ['on', 'off'],
  row_security: ['off', 'on'],
  exit_on_error: ['on', 'off'],
  search_path: ['nowhere', 'public'],
  statement_timeout: ['20ms', '0'],
  lock_timeout: ['1ms', '0'],
  idle_in_transaction_session_timeout: ['1ms', '0'],
  idle_session_timeout: ['1s', '0'],
  transaction_timeout: ['1s', '0'],
};

const ALL = Object.fromEntries(Object.entries(DEFAULTS).map(([name, [theirs]]) => [name, theirs]));

/** Each value is a literal, so a path of several schemas is one name. */
async function setDefaults(database: string, settings: Readonly<Record<string, string>>): Promise<void> {
  await onServer(async (server) => {
    for (const [name, value] of Object.entries(settings)) {
      await server.query(`ALTER DATABASE ${database} SET ${name} = ${value.includes(',') ? value : `'${value}'`}`);
    }
  });
}

/** A schema before ours on the path, with foreign tables that have our names. */
const anothersTables = (url: string): Promise<void> =>
  withClient(url, async (client) => {
    await client.query(
      'CREATE SCHEMA another; CREATE TABLE another.jobs (); CREATE TABLE another.messages (); CREATE TABLE another.migrations ()',
    );
  });

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

describe('whatever the defaults of a database are', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await freshDatabase();
    await setDefaults(database.name, ALL);
  });
  afterAll(() => database.drop());

  /** Another database of the same server. */
  const addressOf = (name: string): string => {
    const address = new URL(database.url);
    address.pathname = name;
    return address.href;
  };

  it('a session has the settings that the service relies on', async () => {
    const show = async (client: pg.Client): Promise<Record<string, string>> => {
      await client.connect();
      try {
        const names = Object.keys(DEFAULTS).map((name) => `current_setting('${name}') AS "${name}"`);
        const { rows } = await client.query<Record<string, string>>(`SELECT ${names.join(', ')}`);
        return rows[0] ?? {};
      } finally {
        await client.end();
      }
    };
    const ours = Object.fromEntries(Object.entries(DEFAULTS).map(([name, [, value]]) => [name, value]));
    expect(await show(new SessionClient({ connectionString: database.url }))).toEqual(ours);
  });

  it('the tables are created where statements look for them', async () => {
    const name = `test_${randomUUID().slice(0, 8)}`;
    await onServer((server) => server.query(`CREATE DATABASE ${name}`));
    try {
      await setDefaults(name, ALL);
      const { printed } = await runProgram('migrate', { DATABASE_URL: addressOf(name) });
      expect(printed).toMatch(/The database is up to date\.\n$/);
    } finally {
      await onServer((server) => server.query(`DROP DATABASE ${name} WITH (FORCE)`));
    }
  });

  it('an encoding other than UTF8 is refused, because it cannot hold all text', async () => {
    const name = `test_${randomUUID().slice(0, 8)}`;
    await onServer((server) =>
      server.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0`),
    );
    try {
      const { code, printed } = await runProgram('migrate', { DATABASE_URL: addressOf(name) });
      expect([code, printed]).toEqual([
        1,
        expect.stringMatching(/^The database of DATABASE_URL has the encoding LATIN1, /),
      ]);
    } finally {
      await onServer((server) => server.query(`DROP DATABASE ${name} WITH (FORCE)`));
    }
  });

  it.each<readonly [string, Record<string, string>, ((url: string) => Promise<void>) | undefined]>([
    ['all of them', ALL, undefined],
    [
      'another’s tables of the same names',
      { search_path: 'another, public', default_transaction_isolation: 'repeatable read' },
      anothersTables,
    ],
  ])('a turn and its twins are done once: %s', async (_, settings, prepare) => {
    let prepared: Promise<void> | undefined;
    const stack = await startStack({
      through: async (_app, { DATABASE_URL }) => {
        prepared ??= (async () => {
          await prepare?.(DATABASE_URL);
          await setDefaults(new URL(DATABASE_URL).pathname.slice(1), settings);
        })();
        await prepared;
        return {};
      },
    });
    try {
      const ana = stack.as('ana');
      const chat = await ana.chat();
      const headers = { 'idempotency-key': randomUUID() };
      const twins = await Promise.all(Array.from({ length: 25 }, () => ana.turn(chat.id, 'the same, ½ ☂', headers)));
      expect(new Set(twins.map(({ status }) => status))).toEqual(new Set([200]));
      expect(new Set(twins.map(({ body }) => body.job_id as string)).size).toBe(1);
      const { body } = await ana.get(`/api/v1/chats/${chat.id}/messages`);
      expect(body.data).toHaveLength(3);
      for (const { created_at } of body.data)
        expect(Math.abs(Date.now() - Date.parse(created_at))).toBeLessThan(60_000);
      expect((await ana.get('/health/ready')).body.checks).toMatchObject({ database: 'ok', queue: 'ok' });
      for (const app of [stack.api, ...stack.workers]) expect(app.output()).not.toMatch(/WARN|ERROR/);
    } finally {
      await stack.stop();
    }
  });
});
