import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { preparingPg } from '#database/prepared-client.js';
import { freshDatabase, type TestDatabase } from '../support/database.js';

describe('a connection', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  beforeAll(async () => {
    database = await freshDatabase();
    pool = new preparingPg.Pool({ connectionString: database.url, max: 1 });
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  const prepared = async (): Promise<number> => {
    const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM pg_prepared_statements');
    return rows[0]?.n ?? 0;
  };

  it('prepares each statement with values once, however often it runs, and no other statement', async () => {
    for (let n = 0; n < 3; n++) {
      expect((await pool.query('SELECT $1::int + 1 AS n', [n])).rows).toEqual([{ n: n + 1 }]);
      await pool.query(`SELECT ${n}; SELECT ${n}`);
    }
    expect(await prepared()).toBe(1);
  });

  it('gives a statement the same name as every other process, whatever each has prepared before', async () => {
    const text = 'SELECT $1::text AS said';
    await pool.query(text, ['here']);
    const { rows } = await pool.query<{ name: string }>(
      `SELECT name FROM pg_prepared_statements WHERE statement = '${text}'`,
    );
    const program = `
      import { preparingPg } from './dist/libs/database/src/prepared-client.js';
      const pool = new preparingPg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
      await pool.query('SELECT $1::int, 1', [1]);
      await pool.query('${text}', ['there']);
      const { rows } = await pool.query("SELECT name FROM pg_prepared_statements WHERE statement = '${text}'");
      console.log(JSON.stringify(rows));
      await pool.end();`;
    const elsewhere = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { DATABASE_URL: database.url },
      encoding: 'utf8',
    });
    expect(JSON.parse(elsewhere)).toEqual(rows);
    expect(rows).toHaveLength(1);
  });

  it('keeps at most five hundred statements; later ones work, too', async () => {
    for (let n = 0; n < 600; n++) {
      expect((await pool.query(`SELECT $1::int + ${n} AS n`, [n])).rows).toEqual([{ n: 2 * n }]);
    }
    expect(await prepared()).toBe(500);
  });
});
