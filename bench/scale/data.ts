import type pg from 'pg';

/*
 * The data of many turns, written straight into the tables: each turn is a user's message, a job, an entry of the ledger and a reply, and
 * ten turns are a chat. Ids are UUIDv7 of their time, as the service makes them, so indexes have them in the same order.
 */

/** Turns that one statement writes. */
const BATCH = 200_000;

/** Turns of a chat, and chats of a user. */
const TURNS = 10;
const CHATS = 10;

/** The least number of users. With three users PostgreSQL would estimate that each has a third of all rows. */
const FEWEST_USERS = 30;

/** A period that is filled with turns. */
export interface Stretch {
  readonly name: string;
  readonly turns: number;
  readonly from: Date;
  readonly to: Date;
}

/** Prepares a database: assistants, and a function for ids. */
export async function prepare(database: pg.Pool): Promise<void> {
  await database.query(`
    INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens)
    SELECT slug, 'A', 'A', 'You help.', 'Hello.', 'm', 100 FROM unnest(ARRAY['support', 'billing', 'bench']) AS a (slug);
    CREATE FUNCTION bench_id(at timestamptz, what text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
      SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(what || n), 1, 3)
              || '8' || substr(md5(what || n), 4, 15))::uuid $$`);
}

/** Turns number $5 to $6 of $4 users. The first is at $2, and they are $3 seconds apart. */
const TURN = `
  INSERT INTO turn
  SELECT n, at, bench_id(started, $1 || 'c', n / ${TURNS}),
         $1 || (n / ${TURNS} % $4::bigint), bench_id(at, $1 || 'm', n), bench_id(at, $1 || 'r', n),
         bench_id(at, $1 || 'j', n)
    FROM (SELECT n, $2::timestamptz + n * ($3::float8 * interval '1 second') AS at,
                 $2::timestamptz + (n / ${TURNS} * ${TURNS}) * ($3::float8 * interval '1 second') AS started
            FROM generate_series($5::bigint, $6::bigint) n) AS moment`;

const TURN_TABLE = `
  CREATE TEMP TABLE turn (n bigint, at timestamptz, chat_id uuid, user_id text, message_id uuid, reply_id uuid, job_id uuid)`;

/** Chats from number $1 on. The last chat of each user is the active one. */
const CHATS_OF = `
  INSERT INTO chats (id, user_id, assistant_slug, status, last_seq, created_at, updated_at, last_message_at)
  SELECT chat_id, user_id, 'support', CASE WHEN min(n) / ${TURNS} >= $1::bigint THEN 'active' ELSE 'closed' END,
         ${2 * TURNS}, min(at), min(at), max(at) FROM turn GROUP BY chat_id, user_id`;

const MESSAGES = `
  INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens, created_at)
  SELECT message_id, chat_id, n % ${TURNS} * 2 + 1, 'user', 'What about ' || n || '?', NULL, NULL, NULL, NULL, NULL, at FROM turn
  UNION ALL
  SELECT reply_id, chat_id, n % ${TURNS} * 2 + 2, 'assistant', 'That is ' || n || '.', job_id, 'm', 'end_turn', 9, 9, at FROM turn`;

const JOBS = `
  INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts, attempts_left, error_code,
                    error_message, available_at, created_at, started_at, finished_at)
  SELECT job_id, 'assistant-reply', CASE WHEN n % 200 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'canceled' ELSE 'succeeded' END, chat_id,
         user_id, message_id, 'seed', 1, 4, CASE WHEN n % 200 = 0 THEN 'model_rejected' END, CASE WHEN n % 200 = 0 THEN 'No.' END,
         at, at, at, at FROM turn`;

const CALLS = `
  INSERT INTO model_calls (job_id, attempt, model, outcome, error_code, input_tokens, output_tokens, started_at, ended_at, user_id,
                           assistant_slug)
  SELECT job_id, 1, 'm', CASE WHEN n % 200 = 0 THEN 'failed' ELSE 'completed' END, CASE WHEN n % 200 = 0 THEN 'model_rejected' END,
         9, 9, at, at, user_id, 'support' FROM turn`;

/** Keys are kept for a day. */
const KEYS = `
  INSERT INTO idempotency_keys (user_id, key, fingerprint, job_id, created, created_at)
  SELECT user_id, job_id::text, sha256(job_id::text::bytea), job_id, true, at FROM turn WHERE at > now() - interval '20 hours'`;

/** Indexes that belong to no constraint. It is faster to make them once all rows are there. */
const LOOSE = `
  SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
   WHERE i.indrelid = ANY ('{chats,messages,jobs,model_calls}'::regclass[]) AND c.oid IS NULL`;

/** Fills a period with turns that have all ended. `progress` is called with the number of written turns. */
export async function fill(
  database: pg.Pool,
  { name, turns, from, to }: Stretch,
  progress: (turns: number) => void = () => undefined,
): Promise<void> {
  const seconds = (to.getTime() - from.getTime()) / 1_000 / turns;
  const users = Math.max(FEWEST_USERS, Math.floor(turns / TURNS / CHATS));
  const client = await database.connect();
  try {
    // The data fulfils all references. Checking each one would take as long as all the rest.
    await client.query(`
      SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '64MB'; SET maintenance_work_mem = '512MB';
      ${TURN_TABLE}`);
    const { rows: indexes } = await client.query<{ name: string; definition: string }>(LOOSE);
    await client.query(`DROP INDEX ${indexes.map((index) => index.name).join(', ')}`);
    for (let at = 0; at < turns; at += BATCH) {
      await client.query('TRUNCATE turn');
      await client.query(TURN, [name, from, seconds, users, at, Math.min(turns, at + BATCH) - 1]);
      await client.query(CHATS_OF, [Math.floor(turns / TURNS) - users]);
      for (const statement of [MESSAGES, JOBS, CALLS, KEYS]) await client.query(statement);
      progress(Math.min(turns, at + BATCH));
    }
    for (const { definition } of indexes) await client.query(definition);
    await client.query('DROP TABLE turn; RESET ALL');
  } finally {
    client.release();
  }
}

/**
 * Chats of one user, one a minute. The latest is active. Among the oldest are the rare ones: five archived, four with another assistant.
 */
export async function chatsOf(database: pg.Pool, user: string, count: number): Promise<void> {
  await database.query(
    `INSERT INTO chats (id, user_id, assistant_slug, status, created_at, updated_at, last_message_at)
     SELECT bench_id(at, $1, n), $1, CASE WHEN n BETWEEN 5 AND 8 THEN 'billing' ELSE 'support' END,
            CASE WHEN n = $2::int - 1 THEN 'active' WHEN n < 5 THEN 'archived' ELSE 'closed' END, at, at, at
       FROM (SELECT n, now() - interval '30 days' + n * interval '1 minute' AS at FROM generate_series(0, $2::int - 1) n) AS chat`,
    [user, count],
  );
}
