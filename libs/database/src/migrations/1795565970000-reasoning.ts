import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Each runs by itself: a transaction that locks several tables could deadlock with turns in flight. Each may run twice. */
const STATEMENTS = [
  // Users see the model's reasoning.
  `ALTER TABLE assistants ADD COLUMN IF NOT EXISTS show_reasoning boolean NOT NULL DEFAULT false`,

  // The parts of the step under way besides its text, as its attempt last saved them. A row of another attempt or step is outdated.
  `CREATE TABLE IF NOT EXISTS draft_parts (
     job_id  uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
     attempt integer NOT NULL CHECK (attempt >= 1),
     step    smallint NOT NULL CHECK (step >= 1),
     parts   jsonb NOT NULL
   )`,

  /*
   * The parts of a reply: for each step its reasoning, its text, its sources and its calls. Null: there is only text, or neither text nor
   * calls: reasoning alone is no reply. `steps.sources` and `last_sources` have a step's parts of any kind besides its text and its calls.
   * The names are of the time before there was reasoning, when services that still run called these functions.
   */
  `CREATE OR REPLACE FUNCTION reply_parts(of_job uuid, last_step integer, last_text text, last_sources jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
     SELECT CASE WHEN bool_or(kind <> 2) AND bool_or(kind = 4 OR kind = 2 AND part ->> 'text' ~ '[^[:space:]]')
                 THEN jsonb_agg(part ORDER BY step, kind, n) END FROM (
       SELECT s.step, 2 AS kind, 0 AS n, jsonb_build_object('type', 'text', 'text', s.text) AS part FROM steps s
        WHERE s.job_id = of_job AND s.text <> ''
       UNION ALL
       SELECT s.step, CASE other.part ->> 'type' WHEN 'reasoning' THEN 1 ELSE 3 END, other.n::int, other.part
         FROM steps s, jsonb_array_elements(s.sources) WITH ORDINALITY AS other (part, n)
        WHERE s.job_id = of_job
       UNION ALL
       SELECT c.step, 4, c.n, jsonb_build_object('type', 'tool_call', 'tool_call', tool_call_json(c)) FROM tool_calls c WHERE c.job_id = of_job
       UNION ALL
       SELECT last_step, 2, 0, jsonb_build_object('type', 'text', 'text', last_text) WHERE last_text <> ''
       UNION ALL
       SELECT last_step, CASE other.part ->> 'type' WHEN 'reasoning' THEN 1 ELSE 3 END, other.n::int, other.part
         FROM jsonb_array_elements(last_sources) WITH ORDINALITY AS other (part, n)
     ) parts
   $$`,

  // As before; it also removes what the attempts have saved.
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
     DELETE FROM draft_parts d WHERE d.job_id = of_job;
   END $$`,
];

/**
 * An assistant can show its model's reasoning. The parts of a running step are saved with its text.
 *
 * Locks `assistants` and `jobs` (for a foreign key), one after the other and each for a moment, and rewrites neither.
 *
 * Services of the previous version go on. They do not know `show_reasoning`: they neither ask for reasoning nor show any. Leftovers that
 * their ends of turns do not see are removed by a newer worker.
 */
export class Reasoning1795565970000 implements MigrationInterface {
  /** Each statement runs by itself. If the migration breaks off, it begins anew. */
  transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
