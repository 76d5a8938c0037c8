import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Each runs by itself: a transaction that locks several tables could deadlock with turns in flight. Each may run twice. */
const STATEMENTS = [
  // See assistant.entity.ts.
  `ALTER TABLE assistants ADD COLUMN IF NOT EXISTS output_schema jsonb, ADD COLUMN IF NOT EXISTS stop_sequences jsonb,
     ADD COLUMN IF NOT EXISTS cache_ttl text NOT NULL DEFAULT '5m' CHECK (cache_ttl IN ('5m', '1h')),
     ADD COLUMN IF NOT EXISTS context_tokens integer NOT NULL DEFAULT 150000 CHECK (context_tokens > 0),
     ADD COLUMN IF NOT EXISTS compaction text NOT NULL DEFAULT 'truncate' CHECK (compaction IN ('truncate', 'summary')),
     ADD COLUMN IF NOT EXISTS fallback_model text, ADD COLUMN IF NOT EXISTS cost_per_day numeric CHECK (cost_per_day > 0)`,
  // The table is small: it has a row for each definition that was ever on offer.
  `ALTER TABLE assistant_versions
     ADD COLUMN IF NOT EXISTS context_tokens integer NOT NULL GENERATED ALWAYS AS (coalesce((definition ->> 'context_tokens')::integer, 150000)) STORED,
     ADD COLUMN IF NOT EXISTS cost_per_day numeric GENERATED ALWAYS AS ((definition ->> 'cost_per_day')::numeric) STORED`,

  // `purpose`: a summary is the call for step 0. `cost`: in the currency of the deployment; null: the model has no price.
  `ALTER TABLE model_calls ADD COLUMN IF NOT EXISTS purpose text NOT NULL DEFAULT 'reply', ADD COLUMN IF NOT EXISTS cache_read_tokens integer,
     ADD COLUMN IF NOT EXISTS cache_write_5m_tokens integer, ADD COLUMN IF NOT EXISTS cache_write_1h_tokens integer,
     ADD COLUMN IF NOT EXISTS thinking_tokens integer, ADD COLUMN IF NOT EXISTS server_tools jsonb, ADD COLUMN IF NOT EXISTS cost numeric`,
  `ALTER TABLE messages ADD COLUMN IF NOT EXISTS cache_read_tokens integer, ADD COLUMN IF NOT EXISTS cache_write_tokens integer,
     ADD COLUMN IF NOT EXISTS thinking_tokens integer, ADD COLUMN IF NOT EXISTS cost numeric`,

  // `window_from_seq`: the first message that prompts have; null: all. `context_tokens`: how many tokens the last reply and its prompt had.
  `ALTER TABLE chats ADD COLUMN IF NOT EXISTS window_from_seq integer, ADD COLUMN IF NOT EXISTS context_tokens integer`,

  // Summaries of what prompts leave out: all messages of a chat up to `until_seq`. Nothing changes them.
  `CREATE TABLE IF NOT EXISTS summaries (
     chat_id    uuid NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
     until_seq  integer NOT NULL CHECK (until_seq >= 1),
     content    text NOT NULL,
     model      text NOT NULL,
     created_at timestamptz(3) NOT NULL DEFAULT now(),
     PRIMARY KEY (chat_id, until_seq)
   )`,

  // What a million tokens cost, and a request of each of the provider's tools.
  `CREATE TABLE IF NOT EXISTS prices (
     model          text PRIMARY KEY,
     input          numeric NOT NULL,
     output         numeric NOT NULL,
     cache_read     numeric NOT NULL,
     cache_write_5m numeric NOT NULL,
     cache_write_1h numeric NOT NULL,
     server_tools   jsonb NOT NULL DEFAULT '{}'
   )`,
  // The currency of all costs; null: none was recorded yet.
  `ALTER TABLE deployment ADD COLUMN IF NOT EXISTS currency text`,

  // What calls that began on a day (UTC) cost. Each session of PostgreSQL has rows of its own, so that no turn waits for another's.
  `CREATE TABLE IF NOT EXISTS spending (
     day            date NOT NULL,
     assistant_slug text NOT NULL,
     session        integer NOT NULL,
     cost           numeric NOT NULL,
     PRIMARY KEY (day, assistant_slug, session)
   ) WITH (fillfactor = 50)`,

  // A trigger, because calls end in many ways, and each has its cost. It runs when a call ends, and when an ended call gets more figures.
  `CREATE OR REPLACE FUNCTION price_call() RETURNS trigger LANGUAGE plpgsql AS $$
   DECLARE
     p prices;
     cached integer;
     more numeric;
   BEGIN
     SELECT * INTO p FROM prices WHERE model = NEW.model;
     IF NOT FOUND THEN
       RETURN NEW;
     END IF;
     cached := coalesce(NEW.cache_read_tokens, 0) + coalesce(NEW.cache_write_5m_tokens, 0) + coalesce(NEW.cache_write_1h_tokens, 0);
     -- A product is exact, and a quotient would be rounded.
     NEW.cost := (greatest(coalesce(NEW.input_tokens, 0) - cached, 0) * p.input + coalesce(NEW.output_tokens, 0) * p.output
                  + coalesce(NEW.cache_read_tokens, 0) * p.cache_read + coalesce(NEW.cache_write_5m_tokens, 0) * p.cache_write_5m
                  + coalesce(NEW.cache_write_1h_tokens, 0) * p.cache_write_1h) * 0.000001;
     IF NEW.server_tools IS NOT NULL THEN
       NEW.cost := NEW.cost + coalesce((SELECT sum(t.value::numeric * coalesce((p.server_tools ->> t.key)::numeric, 0))
                                          FROM jsonb_each_text(NEW.server_tools) t), 0);
     END IF;
     more := NEW.cost - coalesce(OLD.cost, 0);
     IF more <> 0 AND NEW.assistant_slug IS NOT NULL THEN
       INSERT INTO spending AS s (day, assistant_slug, session, cost)
       VALUES ((NEW.started_at AT TIME ZONE 'UTC')::date, NEW.assistant_slug, pg_backend_pid(), more)
       ON CONFLICT (day, assistant_slug, session) DO UPDATE SET cost = s.cost + excluded.cost;
     END IF;
     RETURN NEW;
   END $$`,
  `CREATE OR REPLACE TRIGGER model_calls_price BEFORE UPDATE ON model_calls
     FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL AND (
       OLD.ended_at IS NULL OR NEW.input_tokens IS DISTINCT FROM OLD.input_tokens OR NEW.output_tokens IS DISTINCT FROM OLD.output_tokens
       OR NEW.cache_read_tokens IS DISTINCT FROM OLD.cache_read_tokens OR NEW.server_tools IS DISTINCT FROM OLD.server_tools))
     EXECUTE FUNCTION price_call()`,

  // As before, with the whole usage, and with what the chat's next prompt begins with.
  `CREATE OR REPLACE FUNCTION keep_turn(of_job uuid, message_id uuid, said text, last_text text, last_sources jsonb, by_model text,
                                        reason_to_stop text, completeness text, details jsonb, leave_out boolean) RETURNS void LANGUAGE plpgsql AS $$
   DECLARE
     job jobs;
     chat chats;
     parts jsonb;
     used record;
     context integer;
   BEGIN
     SELECT * INTO job FROM jobs WHERE id = of_job;
     PERFORM settle_tool_calls(of_job, job.status, job.error_code);
     IF job.status = 'succeeded' OR job.status = 'canceled' AND said ~ '[^[:space:]]' OR EXISTS (SELECT FROM tool_calls c WHERE c.job_id = of_job) THEN
       parts := reply_parts(of_job, job.step + 1, last_text, last_sources);
       -- An operator who puts a job back begins its steps anew.
       SELECT sum(e.input_tokens) AS input, sum(e.output_tokens) AS output, bool_or(e.estimated) AS guessed,
              sum(e.cache_read_tokens) AS cache_read, sum(e.thinking_tokens) AS thinking, sum(e.cost) AS cost,
              sum(e.cache_write_5m_tokens + e.cache_write_1h_tokens) AS cache_write INTO used FROM model_calls e
        WHERE e.job_id = of_job AND e.step > 0 AND e.started_at >= coalesce(job.requeued_at, job.created_at)
          AND (e.step <= job.step AND e.outcome = 'completed' OR e.step = job.step + 1 AND e.attempt = job.attempts);
       -- The prompt after the last finished step, without the thoughts of the steps, which later prompts do not have; and its answer's text.
       SELECT e.input_tokens - coalesce(used.thinking, 0) + coalesce(e.thinking_tokens, 0)
              + CASE WHEN leave_out OR job.status = 'failed' THEN 0 ELSE coalesce(e.output_tokens, 0) - coalesce(e.thinking_tokens, 0) END
         INTO context FROM model_calls e
        WHERE e.job_id = of_job AND e.step = job.step + 1 AND e.attempt = job.attempts AND e.message_id IS NOT NULL AND e.input_tokens > 0;
       UPDATE chats c SET last_seq = last_seq + 1, last_message_at = greatest(last_message_at, clock_timestamp()),
                          window_from_seq = coalesce(nullif(job.window_from_seq, 1), c.window_from_seq),
                          -- Null: not known. If later prompts leave the turn out and begin where they did, what was counted before it counts.
                          context_tokens = CASE WHEN leave_out AND coalesce(job.window_from_seq, 1) IN (1, coalesce(c.window_from_seq, 1))
                                                THEN c.context_tokens ELSE context END
        WHERE id = job.chat_id RETURNING * INTO chat;
       INSERT INTO messages (id, chat_id, seq, role, content, parts, job_id, model, assistant_version, stop_reason, status, stop_details,
                             left_out_by, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, thinking_tokens, cost,
                             usage_estimated, created_at)
       SELECT coalesce(message_id, new_id()), chat.id, chat.last_seq, 'assistant', said, parts, of_job,
              coalesce(by_model, (SELECT a.model FROM assistant_versions a WHERE a.slug = chat.assistant_slug AND a.version = job.assistant_version)),
              job.assistant_version, reason_to_stop, completeness, details, CASE WHEN leave_out THEN of_job END,
              coalesce(used.input, 0), coalesce(used.output, 0), used.cache_read, used.cache_write, used.thinking, used.cost,
              coalesce(used.guessed, false), chat.last_message_at;
     END IF;
     DELETE FROM steps s WHERE s.job_id = of_job;
     DELETE FROM draft_parts d WHERE d.job_id = of_job;
   END $$`,
];

/**
 * The ledger records the cost of each call. A chat has a window: the part of it that prompts have.
 *
 * Locks `assistants`, `assistant_versions`, `model_calls`, `messages`, `chats` and `deployment`, one after the other and each for a moment.
 * It rewrites only the small table `assistant_versions`. Services of the previous version go on; the calls of their workers count as if
 * nothing had been read from the cache.
 */
export class Costs1795565980000 implements MigrationInterface {
  /** A statement that fails leaves the ones before it. The migration then begins anew. */
  transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
