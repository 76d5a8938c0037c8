import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Longest wait for transactions that are older than a new index, in milliseconds. No other session waits behind it. */
const INDEX_WAIT_MS = 10 * 60_000;

/** Each runs by itself: a transaction that locks several tables could deadlock with turns in flight. Each may run twice. */
const STATEMENTS = [
  // `tools`: see tool.ts. `max_steps`: most calls of the model in one turn. `action_seconds`: how long a turn waits for a person.
  `ALTER TABLE assistants ADD COLUMN IF NOT EXISTS tools jsonb NOT NULL DEFAULT '[]', ADD COLUMN IF NOT EXISTS max_steps smallint NOT NULL DEFAULT 16,
     ADD COLUMN IF NOT EXISTS action_seconds integer NOT NULL DEFAULT 86400`,
  // The table is small: it has a row for each definition that was ever on offer.
  `ALTER TABLE assistant_versions ADD COLUMN IF NOT EXISTS
     tool_bytes integer NOT NULL GENERATED ALWAYS AS (coalesce(octet_length(definition ->> 'tools'), 0)) STORED`,

  // `action_since` and `action_expires_at`: since when a turn waits for a person, and until when. `waited_seconds`: how long it has waited
  // before; its hour stands still meanwhile.
  `ALTER TABLE jobs ADD COLUMN IF NOT EXISTS action_since timestamptz(3), ADD COLUMN IF NOT EXISTS action_expires_at timestamptz(3),
     ADD COLUMN IF NOT EXISTS waited_seconds integer NOT NULL DEFAULT 0`,
  // One constraint takes the place of the earlier one, since PostgreSQL reads every constraint anew for each statement that writes.
  `ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_status_new`,
  `ALTER TABLE jobs ADD CONSTRAINT jobs_status_new CHECK (
     status IN ('queued', 'running', 'requires_action', 'succeeded', 'failed', 'canceled')
     AND (status = 'requires_action') = (action_expires_at IS NOT NULL)) NOT VALID`,
  `ALTER TABLE jobs VALIDATE CONSTRAINT jobs_status_new`,
  `ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_status_check`,
  `ALTER TABLE jobs RENAME CONSTRAINT jobs_status_new TO jobs_status_check`,

  // What a step's text relies on, as the provider cites it: parts of the message.
  `ALTER TABLE steps ADD COLUMN IF NOT EXISTS sources jsonb`,

  // The tool calls of a turn. `n`: the call's place in its step. `attempt`: the attempt that runs it. Each call that has ended has a result,
  // so no history ever lacks one.
  `CREATE TABLE IF NOT EXISTS tool_calls (
     id          uuid PRIMARY KEY,
     job_id      uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
     step        smallint NOT NULL CHECK (step >= 1),
     n           smallint NOT NULL CHECK (n >= 1),
     provider_id text NOT NULL,
     name        text NOT NULL,
     input       json NOT NULL,
     status      text NOT NULL CHECK (status IN ('awaiting_approval', 'awaiting_result', 'queued', 'running', 'succeeded', 'failed',
                                                 'denied', 'canceled', 'expired')),
     attempt     integer,
     decided_by  text,
     reason      text,
     result      text,
     is_error    boolean NOT NULL DEFAULT false,
     created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
     decided_at  timestamptz(3),
     ended_at    timestamptz(3),
     CONSTRAINT tool_calls_place UNIQUE (job_id, step, n),
     CONSTRAINT tool_calls_ended CHECK (
       (status IN ('succeeded', 'failed', 'denied', 'canceled', 'expired')) = (ended_at IS NOT NULL)
       AND (ended_at IS NOT NULL) = (result IS NOT NULL))
   )`,
  `CREATE INDEX IF NOT EXISTS tool_calls_open ON tool_calls (job_id) WHERE ended_at IS NULL`,

  /*
   * What the end of a turn with finished steps needs besides the row of its job. These are functions, because a function sees what was
   * committed while the statement around it waited for the job's row; the statement itself does not.
   */

  // Gives every open call of a job that has ended a result.
  `CREATE OR REPLACE FUNCTION settle_tool_calls(of_job uuid, job_status text, job_error text) RETURNS void LANGUAGE plpgsql AS $$
   DECLARE
     final text := CASE WHEN job_status = 'canceled' THEN 'canceled' WHEN job_error IN ('expired', 'action_expired') THEN 'expired' ELSE 'failed' END;
     words text := CASE final WHEN 'canceled' THEN 'The user canceled the turn' WHEN 'expired' THEN 'The time of the turn was over'
                              ELSE 'The turn failed' END;
   BEGIN
     UPDATE tool_calls c SET status = final, is_error = true, ended_at = clock_timestamp(),
            result = CASE WHEN c.status = 'running' THEN words || ' while this tool ran. It is not known whether the call took effect.'
                          ELSE words || ' before this tool ran. The call had no effect.' END
      WHERE c.job_id = of_job AND c.ended_at IS NULL;
   END $$`,

  // A tool call as the contract has it.
  `CREATE OR REPLACE FUNCTION tool_call_json(c tool_calls) RETURNS jsonb LANGUAGE sql STABLE AS $$
     SELECT jsonb_build_object('id', c.id, 'step', c.step, 'name', c.name, 'input', c.input, 'status', c.status, 'result', c.result,
       'is_error', c.is_error, 'reason', c.reason,
       'created_at', to_char(c.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       'decided_at', to_char(c.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       'ended_at', to_char(c.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
   $$`,

  // The parts of a reply: for each step its text, its sources and its calls. Null: there is only text.
  `CREATE OR REPLACE FUNCTION reply_parts(of_job uuid, last_step integer, last_text text, last_sources jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
     SELECT CASE WHEN bool_or(kind > 1) THEN jsonb_agg(part ORDER BY step, kind, n) END FROM (
       SELECT s.step, 1 AS kind, 0 AS n, jsonb_build_object('type', 'text', 'text', s.text) AS part FROM steps s
        WHERE s.job_id = of_job AND s.text <> ''
       UNION ALL
       SELECT s.step, 2, source.n::int, source.part FROM steps s, jsonb_array_elements(s.sources) WITH ORDINALITY AS source (part, n)
        WHERE s.job_id = of_job
       UNION ALL
       SELECT c.step, 3, c.n, jsonb_build_object('type', 'tool_call', 'tool_call', tool_call_json(c)) FROM tool_calls c WHERE c.job_id = of_job
       UNION ALL
       SELECT last_step, 1, 0, jsonb_build_object('type', 'text', 'text', last_text) WHERE last_text <> ''
       UNION ALL
       SELECT last_step, 2, source.n::int, source.part FROM jsonb_array_elements(last_sources) WITH ORDINALITY AS source (part, n)
     ) parts
   $$`,

  // A UUIDv7 (RFC 9562, section 5.7). PostgreSQL has a function for it only from version 18 on.
  `CREATE OR REPLACE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
     SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
             || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
   $$`,

  /*
   * Keeps what a turn has said and done as the assistant's message, settles its calls, and removes its steps. The job's row has its end,
   * the call of the model has its figures, and the statement around it holds the chat's lock. A turn that failed leaves a message only if it
   * has called tools, a canceled one only if it has said something or called tools.
   */
  `CREATE OR REPLACE FUNCTION keep_turn(of_job uuid, message_id uuid, said text, last_text text, last_sources jsonb, by_model text,
                                        reason_to_stop text, completeness text, details jsonb, leave_out boolean) RETURNS void LANGUAGE plpgsql AS $$
   DECLARE
     job jobs;
     chat chats;
     parts jsonb;
     input integer;
     output integer;
     guessed boolean;
   BEGIN
     SELECT * INTO job FROM jobs WHERE id = of_job;
     PERFORM settle_tool_calls(of_job, job.status, job.error_code);
     IF job.status = 'succeeded' OR job.status = 'canceled' AND said ~ '[^[:space:]]' OR EXISTS (SELECT FROM tool_calls c WHERE c.job_id = of_job) THEN
       parts := reply_parts(of_job, job.step + 1, last_text, last_sources);
       -- An operator who puts a job back begins its steps anew.
       SELECT sum(e.input_tokens), sum(e.output_tokens), bool_or(e.estimated) INTO input, output, guessed FROM model_calls e
        WHERE e.job_id = of_job AND e.started_at >= coalesce(job.requeued_at, job.created_at)
          AND (e.step <= job.step AND e.outcome = 'completed' OR e.step = job.step + 1 AND e.attempt = job.attempts);
       UPDATE chats SET last_seq = last_seq + 1, last_message_at = greatest(last_message_at, clock_timestamp())
        WHERE id = job.chat_id RETURNING * INTO chat;
       INSERT INTO messages (id, chat_id, seq, role, content, parts, job_id, model, assistant_version, stop_reason, status, stop_details,
                             left_out_by, input_tokens, output_tokens, usage_estimated, created_at)
       SELECT coalesce(message_id, new_id()), chat.id, chat.last_seq, 'assistant', said, parts, of_job,
              coalesce(by_model, (SELECT a.model FROM assistant_versions a WHERE a.slug = chat.assistant_slug AND a.version = job.assistant_version)),
              job.assistant_version, reason_to_stop, completeness, details, CASE WHEN leave_out THEN of_job END,
              coalesce(input, 0), coalesce(output, 0), coalesce(guessed, false), chat.last_message_at;
     END IF;
     DELETE FROM steps s WHERE s.job_id = of_job;
   END $$`,
];

/** Indexes that are built beside the running service. `replaces`: an index that is dropped then, and whose name the new one takes. */
const INDEXES = [
  { name: 'jobs_waiting', on: `(action_expires_at, id) WHERE status = 'requires_action'` },
  {
    name: 'jobs_unfinished_of_user',
    on: `(user_id, round) WHERE (status || ' user') IN ('queued user', 'running user', 'requires_action user')`,
    replaces: 'jobs_of_user',
  },
];

/** A turn that waits for a person is one of its user's unfinished turns. */
const NEXT_PLACE = `
   CREATE OR REPLACE FUNCTION next_place(of_user text, most integer, OUT round integer, OUT unfinished integer)
   LANGUAGE plpgsql AS $$
   DECLARE
     head integer;
     mine integer;
   BEGIN
     SELECT count(*) INTO unfinished FROM (
       SELECT FROM jobs j WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user', 'requires_action user') LIMIT most
     ) j;
     SELECT j.round INTO mine FROM jobs j
      WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user', 'requires_action user') ORDER BY j.round DESC LIMIT 1;
     SELECT j.round INTO head FROM jobs j WHERE (j.status || ' line') = 'queued line' ORDER BY j.round, j.id LIMIT 1;
     -- Null is passed over.
     round := greatest(head, mine + 1, 0);
   END $$`;

const IS_BUILT = `SELECT coalesce(bool_or(indisvalid), false) AS built FROM pg_index WHERE indexrelid = to_regclass($1)`;
const IS_REPLACED = `SELECT pg_get_indexdef(to_regclass($1)) LIKE '%requires_action%' AS replaced`;

/**
 * A turn can call tools, and can wait for a person.
 *
 * Locks `assistants`, `assistant_versions`, `jobs` and `steps`, one after the other and each for a moment. It reads `jobs` once for the
 * new constraint and once for each index, beside the running service, and rewrites only the small table `assistant_versions`.
 *
 * Services of the previous version go on. They know no tools, so an assistants file gets tools only once all workers are new.
 */
export class Tools1795565960000 implements MigrationInterface {
  /** An index that is built beside the running service cannot be built in a transaction. If the migration breaks off, it begins anew. */
  transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
    for (const index of INDEXES) await build(runner, index);
    // Last: the function counts by the new index.
    await runner.query(NEXT_PLACE);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}

async function build(runner: QueryRunner, { name, on, replaces }: (typeof INDEXES)[number]): Promise<void> {
  const said = async (text: string, value: string): Promise<boolean> =>
    Object.values(((await runner.query(text, [value])) as Record<string, boolean>[])[0] ?? {})[0] === true;
  if (replaces !== undefined && (await said(IS_REPLACED, replaces))) return;
  if (!(await said(IS_BUILT, name))) {
    const [{ lock_timeout: before }] = (await runner.query('SHOW lock_timeout')) as [{ lock_timeout: string }];
    // A build that broke off leaves an unusable index.
    await runner.query(`DROP INDEX IF EXISTS ${name}`);
    await runner.query(`SET lock_timeout = ${INDEX_WAIT_MS}`);
    try {
      await runner.query(`CREATE INDEX CONCURRENTLY ${name} ON jobs ${on}`);
    } finally {
      await runner.query(`SET lock_timeout = '${before}'`);
    }
  }
  if (replaces === undefined) return;
  await runner.query(`DROP INDEX IF EXISTS ${replaces}`);
  await runner.query(`ALTER INDEX ${name} RENAME TO ${replaces}`);
}
