import { DataSource, type EntityManager } from 'typeorm';
import pg from 'pg';
import { dataSourceOptions } from '#database/data-source.js';

/** A database that is measured, with the service's own statements on it. */
export interface Side {
  readonly name: string;
  readonly pool: pg.Pool;
  readonly source: DataSource;
  readonly manager: EntityManager;
  /** Tells of the plan of each statement, by PostgreSQL's own `auto_explain`, while `work` goes on. */
  plans(work: () => Promise<unknown>): Promise<string[]>;
  /** Lets the settings of the tables hold for connections to come. */
  close(): Promise<void>;
}

/** One connection: what a session has learned of a statement holds for the next. */
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
  // A connection may be told of the server's end while it ends itself.
  pool.on('error', () => undefined);
  const heard: string[] = [];
  const driver = source.driver as unknown as { master: pg.Pool };
  const listen = (client: pg.PoolClient): void => void client.on('notice', ({ message }) => heard.push(message ?? ''));
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
      heard.length = 0;
      await source.query('SET auto_explain.log_min_duration = 0');
      await work();
      await source.query('SET auto_explain.log_min_duration = -1');
      return heard.filter((text) => text.includes('Query Text') && !text.includes('auto_explain'));
    },
    close: async () => {
      await source.destroy();
      await pool.end();
    },
  };
}
