import 'reflect-metadata';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '#database/data-source.js';
import { ROOT } from '#process/root.js';
import { dumpSchema } from '../schema/dump.js';
import { SCHEMA_FILE } from '../schema/file.js';
import { freshDatabase, type TestDatabase } from '../support/database.js';

/**
 * Tables without an entity. Nothing fills `admin_sessions` any more, but services of the previous version read it while they are replaced.
 */
const OTHERS = new Set(['migrations', 'admin_sessions']);

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
      // A field that a read computes is no column of its table.
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

  it('have no index on what each turn and each heartbeat changes, so that PostgreSQL need not write to any', async () => {
    const changed = {
      chats: ['last_seq', 'last_message_at'],
      jobs: ['lease_until', 'draft'],
      model_calls: ['message_id', 'input_tokens', 'output_tokens', 'first_text_ms'],
      callers: ['turns_until'],
    };
    // An index's columns, those of its expressions, and those of its condition.
    const rows = await source.query<{ place: string; indexes: number }[]>(
      `SELECT t.relname || '.' || a.attname AS place,
              (SELECT count(*)::int FROM pg_depend d JOIN pg_index i ON i.indexrelid = d.objid
                WHERE d.classid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = a.attnum) AS indexes
         FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid WHERE t.relname || '.' || a.attname = ANY ($1)`,
      [
        [
          'jobs.status',
          ...Object.entries(changed).flatMap(([table, names]) => names.map((name) => `${table}.${name}`)),
        ],
      ],
    );
    const indexed = rows.filter(({ indexes }) => indexes > 0).map(({ place }) => place);
    expect(indexed).toEqual(['jobs.status']);
    expect(rows).toHaveLength(1 + Object.values(changed).flat().length);
  });

  it('make the schema in git (`npm run dev -- schema` writes it)', async () => {
    const client = new pg.Client(database.url);
    await client.connect();
    const dump = await dumpSchema(client).finally(() => client.end());
    expect(await readFile(join(ROOT, SCHEMA_FILE), 'utf8')).toBe(dump);
  });

  it('are complete: a migrated database has no pending migrations', async () => {
    expect(await source.showMigrations()).toBe(false);
  });
});
