import pg from 'pg';
import { withPlainTls } from '#settings/database-address.js';
import { keepFirstError } from './first-error.js';

/**
 * Settings of a session that this service relies on. Every session asks for them, because a database or a role may have any default (`ALTER
 * DATABASE … SET`). Settings that change only speed or durability (`enable_…`, `synchronous_commit`) are left to the operator.
 */
const RELIED_ON = {
  // pg parses values, and statements calculate with days.
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  // How PostgreSQL reads statements.
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // A statement waits for a row's lock, and then sees the row as the lock's holder left it. At a stricter level it would fail.
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off', // but see UNLESS_SHUT
  default_transaction_deferrable: 'off',
  row_security: 'on',
  // A twin request that breaks an index must not end the session.
  exit_on_error: 'off',
  // Sessions that listen say nothing for hours.
  idle_session_timeout: '0',
  transaction_timeout: '0',
};

/**
 * `default_transaction_read_only` as a default of the database or the role does not shut the server: other sessions still write. In the
 * server's configuration it does shut the server, after a switchover or when its disk is full, and we must not write past it. So a session
 * sets it only if such a default has turned it on: a session that has set it does not notice when the server is shut.
 */
const UNLESS_SHUT = `
  CASE WHEN name = 'default_transaction_read_only'
    THEN pg_catalog.current_setting(name) = 'on' AND
      (SELECT source IN ('database', 'user', 'database user') FROM pg_catalog.pg_settings AS s WHERE s.name = wanted.name)
    ELSE true END`;

/**
 * The schema of our tables: the first schema on the default path that has them, or `public`, where the first migration makes them. Only
 * this schema is on the path, so that we never use another program's table of the same name.
 */
const OUR_SCHEMA = `
  coalesce(
    (SELECT relnamespace::pg_catalog.regnamespace::text FROM pg_catalog.pg_class
      WHERE oid = coalesce(pg_catalog.to_regclass('model_calls'), pg_catalog.to_regclass('public.model_calls'))),
    pg_catalog.quote_ident(nullif(pg_catalog.current_schema(), 'pg_catalog')),
    'public')`;

/** How long PostgreSQL may take to begin a session once it is logged in, in milliseconds. */
const LONGEST_BEGINNING_MS = 10_000;

/** Bounds of a session, in milliseconds (0: none), and its schema if that is not ours. */
export interface SessionSettings {
  readonly statement_timeout?: number;
  readonly lock_timeout?: number;
  readonly idle_in_transaction_session_timeout?: number;
  readonly schema?: string;
}

/** Options of a client, or of a pool of {@link SessionClient}s. */
export type SessionOptions<Options = pg.ClientConfig> = Options & { readonly session?: SessionSettings };

/**
 * A client of PostgreSQL whose session has the settings that we rely on, whatever the defaults of its database and its role are.
 *
 * It sets them by statements, since a pooler (PgBouncer) refuses most of them in the message that opens a session.
 *
 * All clients of a process are of this class, BullMQ's too.
 */
export class SessionClient extends pg.Client {
  private readonly beginning: string;

  constructor(options: SessionOptions = {}) {
    const { connectionString } = options;
    super(connectionString === undefined ? options : { ...options, connectionString: withPlainTls(connectionString) });
    this.beginning = beginningOf(options.session ?? {});
    keepFirstError(this);
  }

  override connect(): Promise<this>;
  override connect(callback: (error: Error) => void): void;
  override connect(callback?: (error: Error) => void): Promise<this> | void {
    const begun = this.begin();
    if (callback === undefined) return begun;
    // As in pg, the callback gets no argument after a success.
    begun.then(() => (callback as () => void)(), callback);
  }

  private async begin(): Promise<this> {
    try {
      await super.connect();
      await this.query({ text: this.beginning, query_timeout: LONGEST_BEGINNING_MS } as pg.QueryConfig);
      return this;
    } catch (error) {
      // The caller never gets this client, so it is closed here. `end` would wait for the server.
      (this as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      throw error;
    }
  }
}

/**
 * The statements that begin a session. The time-out is first, since a short default would end the others. A pooler may pass on a session
 * with its last client's prepared statements (PgBouncer, without its `server_reset_query`): their names would be taken.
 */
function beginningOf(session: SessionSettings): string {
  const { statement_timeout = 0, lock_timeout = 0, idle_in_transaction_session_timeout = 0, schema } = session;
  const settings = { ...RELIED_ON, lock_timeout, idle_in_transaction_session_timeout };
  const wanted = Object.entries(settings).map(([name, value]) => `('${name}', '${value}')`);
  const path = schema === undefined ? OUR_SCHEMA : `'${schema}'`;
  // A setting that this PostgreSQL does not have yet is left out.
  return `SET statement_timeout = ${statement_timeout};
    DEALLOCATE ALL;
    SELECT pg_catalog.set_config(name, value, false)
    FROM (VALUES ${wanted.join(', ')}, ('search_path', ${path})) AS wanted (name, value)
    WHERE pg_catalog.current_setting(name, true) IS NOT NULL AND ${UNLESS_SHUT}`;
}
