import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '#database/data-source.js';
import { freshDatabase, type TestDatabase } from '../support/database.js';

/** Tables that are no entity's. */
const OTHERS = new Set(['migrations']);

describe('entities and migrations', () => {
  let database: TestDatabase;
  let source: DataSource;
  beforeAll(async () => {
    database = await freshDatabase();
    const options = dataSourceOptions({ url: database.url, poolSize: 1, applicationName: 'test' });
    source = await new DataSource(options).initialize();
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  it('describe the same tables: every column, its type, and whether it may be null', async () => {
    const rows = await source.query<{ table: string; name: string; type: string; nullable: boolean }[]>(
      `SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped`,
    );
    const migrated = rows
      .filter(({ table }) => !OTHERS.has(table))
      .map(({ table, name, type, nullable }) => `${table}.${name} ${type}${nullable ? ' null' : ''}`);
    const described = source.entityMetadatas.flatMap(({ tableName, columns }) =>
      // What is looked up elsewhere when a row is read is no column of its table.
      columns
        .filter(({ isVirtualProperty }) => !isVirtualProperty)
        .map(({ databaseName, type, precision, isNullable }) => {
          const digits = typeof precision === 'number' ? `(${precision})` : '';
          const full = type === 'timestamptz' ? `timestamp${digits} with time zone` : String(type);
          return `${tableName}.${databaseName} ${full}${isNullable ? ' null' : ''}`;
        }),
    );
    expect(described.length).toBeGreaterThan(30);
    expect(described.sort()).toEqual(migrated.sort());
  });

  it('are complete: nothing is pending on a migrated database', async () => {
    expect(await source.showMigrations()).toBe(false);
  });
});
