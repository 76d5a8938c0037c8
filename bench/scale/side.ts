import { DataSource, type EntityManager } from 'typeorm';
import pg from 'pg';
import { dataSourceOptions } from '#database/data-source.js';

/** A database to measure, with the service's own statements. */
export interface Side {
  readonly name: string;
  readonly pool: pg.Pool;
  readonly source: DataSource;
  readonly manager: EntityManager;
  /** The plans of all statements during `work`, from PostgreSQL's `auto_explain`. */
  plans(work: () => Promise<unknown>): Promise<string[]>;
  /** Closes the connection; later ones see changed settings of the tables. */
  close(): Promise<void>;
}

/** One connection, so that a session's prepared plans are used again. */
const EXPLAIN = ['log_analyze', 'log_buffers', 'log_nested_statements'].map((name) => `-c auto_explain.${name}=on`);
const OPTIONS = ['-c session_preload_libraries=auto_explain', '-c auto_explain.log_level=notice', ...EXPLAIN].join(' ');

/** Connects to a database. */
export async function openSide(name: string, url: string): Promise<Side> {
  const options = dataSourceOptions({ url, poolSize: 1, applicationName: 'bench' });
  const source = await new DataSource({
    ...options,
    extra: { ...(options.extra as object), options: OPTIONS, maxLifetimeSeconds: 0, idleTimeoutMillis: 0 },
  }).initialize();
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  // A connection may report the server's end while it closes.
  pool.on('error', () => undefined);
  const notices: string[] = [];
  const driver = source.driver as unknown as { master: pg.Pool };
  const listen = (client: pg.PoolClient): void =>
    void client.on('notice', ({ message }) => notices.push(message ?? ''));
  driver.master.on('connect', listen);
  const client = await driver.master.connect();
  client.removeAllListeners('notice');
  listen(client);
  client.release();
  return {
    name,
    pool,
    source,
    manager: source.manager,
    plans: async (work) => {
      notices.length = 0;
      await source.query('SET auto_explain.log_min_duration = 0');
      await work();
      await source.query('SET auto_explain.log_min_duration = -1');
      return notices.filter((text) => text.includes('Query Text') && !text.includes('auto_explain'));
    },
    close: async () => {
      await source.destroy();
      await pool.end();
    },
  };
}
