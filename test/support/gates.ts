import pg from 'pg';
import { type Stack } from './stack.js';
import { until } from './until.js';

/*
 * A gate holds a write of the service in PostgreSQL: its statement has begun, and waits in a trigger. So a test can end a worker, or
 * PostgreSQL, exactly then. If the gate opens afterwards, PostgreSQL carries out what a dead worker had sent; if PostgreSQL dies, too, the
 * write is lost.
 *
 * The moments of a user's turn that can have a gate: `claim 1`; `commit N`, also of the last step, which ends the turn; `begin N`, of all
 * calls of the step together; `store N TOOL`, of a call's result.
 */

/** Every wait of the service for a lock is bounded, and a gate's must not be. */
const TRIGGERS = `
  CREATE SCHEMA test;
  CREATE TABLE test.gates (id serial PRIMARY KEY, user_id text, moment text, UNIQUE (user_id, moment));
  CREATE FUNCTION test.pass(of_job uuid, at text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE gate bigint := (SELECT g.id FROM test.gates g JOIN jobs j ON j.user_id = g.user_id WHERE j.id = of_job AND g.moment = at);
    BEGIN
      IF gate IS NULL THEN RETURN; END IF;
      PERFORM set_config('lock_timeout', '0', true);
      PERFORM pg_advisory_xact_lock_shared(gate);
    END $$;
  CREATE FUNCTION test.step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM test.pass(NEW.job_id, 'commit ' || NEW.step); RETURN NEW; END $$;
  CREATE FUNCTION test.call() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM test.pass(NEW.job_id, CASE NEW.status WHEN 'running' THEN 'begin ' || NEW.step ELSE 'store ' || NEW.step || ' ' || NEW.name END);
      RETURN NEW;
    END $$;
  CREATE FUNCTION test.job() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM test.pass(NEW.id, CASE NEW.status WHEN 'running' THEN 'claim 1' ELSE 'commit ' || NEW.step + 1 END);
      RETURN NEW;
    END $$;
  CREATE TRIGGER gate BEFORE INSERT ON steps FOR EACH ROW EXECUTE FUNCTION test.step();
  CREATE TRIGGER gate BEFORE UPDATE ON tool_calls FOR EACH ROW EXECUTE FUNCTION test.call();
  CREATE TRIGGER gate BEFORE UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.status <> OLD.status AND NEW.status IN ('running', 'succeeded')) EXECUTE FUNCTION test.job();`;

/** Gates in the database of one stack. */
export class Gates {
  private holder: Promise<pg.Client> | undefined;
  private closed: number[] = [];

  private constructor(private readonly stack: Pick<Stack, 'database' | 'databaseUrl'>) {}

  static async install(stack: Pick<Stack, 'database' | 'databaseUrl'>): Promise<Gates> {
    await stack.database.query(TRIGGERS);
    return new Gates(stack);
  }

  /** Closes a gate for a user's turn. */
  async close(user: string, moment: string): Promise<void> {
    const { rows } = await this.stack.database.query<{ id: number }>(
      'INSERT INTO test.gates (user_id, moment) VALUES ($1, $2) RETURNING id',
      [user, moment],
    );
    const id = rows[0]?.id ?? 0;
    this.closed.push(id);
    // A session takes one statement at a time.
    this.holder = (this.holder ?? connected(this.stack.databaseUrl)).then(async (holder) => {
      await holder.query('SELECT pg_advisory_lock($1)', [id]);
      return holder;
    });
    await this.holder;
  }

  /** The users whose turns have not reached their closed gates. */
  async awaited(): Promise<ReadonlySet<string>> {
    const { rows } = await this.stack.database.query<{ user_id: string }>(
      `SELECT user_id FROM test.gates g WHERE g.id = ANY ($1) AND NOT EXISTS (
         SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objid = g.id AND NOT l.granted)`,
      [this.closed],
    );
    return new Set(rows.map(({ user_id }) => user_id));
  }

  /** Opens all gates. Resolves once PostgreSQL has carried out the statements that waited. */
  async open(): Promise<void> {
    const ids = this.closed;
    this.closed = [];
    await this.leave();
    await until(async () => {
      const { rows } = await this.stack.database.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid::int = ANY ($1)`,
        [ids],
      );
      return rows.length === 0;
    }, 'the statements at the gates');
  }

  /** Forgets the gates, after the end of PostgreSQL has opened them. */
  async gone(): Promise<void> {
    this.closed = [];
    await this.leave();
  }

  private async leave(): Promise<void> {
    const holder = await this.holder;
    this.holder = undefined;
    await holder?.end();
  }
}

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  // PostgreSQL may be killed.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
