import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { StartFault } from '#errors/start-fault.js';
import { SessionClient } from './session-client.js';

/** Thrown at start when something between us and PostgreSQL gives connections sessions that are not theirs alone. */
export class SharedSessionError extends StartFault {
  constructor() {
    super(
      'DATABASE_URL leads to a pooler in transaction mode: a connection has another session of PostgreSQL for each transaction. ' +
        'Rejoinder needs sessions of its own, for LISTEN, locks, settings and prepared statements. Give the address of PostgreSQL ' +
        'itself, or of a pooler in session mode (PgBouncer: pool_mode = session; Neon: the host without -pooler; Supabase: port 5432).',
    );
  }
}

/** A setting that nothing else uses, and that a session keeps. */
const MARK = 'rejoinder.session';

const LONGEST_CONNECTION_WAIT_MS = 10_000;

/**
 * The sessions count as our own after this many reads without a finding. A busy pooler may give out the right session by chance, but not
 * each time.
 */
const READS = 3;

interface Session {
  query(statement: string): Promise<unknown>;
}

/**
 * Refuses a pooler that shares sessions among connections. Two connections mark their sessions. In transaction mode both meet in one
 * session, or the first finds itself in a session without its mark. The second connection is not from the pool, which may have only one.
 * @throws SharedSessionError
 */
export async function refuseSharedSessions(source: DataSource, url: string): Promise<void> {
  const one = source.createQueryRunner();
  const other = new SessionClient({
    connectionString: url,
    application_name: 'rejoinder-start',
    connectionTimeoutMillis: LONGEST_CONNECTION_WAIT_MS,
    query_timeout: LONGEST_CONNECTION_WAIT_MS,
  });
  try {
    await other.connect();
    for (let read = 0; read < READS; read++) {
      const mark = await marked(one);
      await marked(other);
      // Twice: with two sessions that take turns, every other statement is in the right one.
      for (let again = 0; again < 2; again++) if ((await markOf(one)) !== mark) throw new SharedSessionError();
    }
  } finally {
    await one.release();
    // Not awaited: a server that hangs does not answer.
    void other.end().catch(() => undefined);
  }
}

async function marked(session: Session): Promise<string> {
  const mark = randomUUID();
  await session.query(`SELECT set_config('${MARK}', '${mark}', false)`);
  return mark;
}

async function markOf(session: Session): Promise<unknown> {
  const [row] = (await session.query(`SELECT current_setting('${MARK}', true) AS mark`)) as { mark: unknown }[];
  return row?.mark;
}
