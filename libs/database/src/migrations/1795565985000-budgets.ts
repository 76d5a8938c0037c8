import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Longest wait for transactions that are older than the new index, in milliseconds. No other session waits behind it. */
const INDEX_WAIT_MS = 10 * 60_000;

/** Each runs by itself: a transaction that locks several tables could deadlock with turns in flight. Each may run twice. */
const TABLES = [
  // What a turn may use, as reckoned when it was accepted; null: no budget needs the figure. Only unfinished jobs count, so every end of a
  // job frees its reserve. `budget_of`: the assistant, if it has a budget.
  `ALTER TABLE jobs ADD COLUMN IF NOT EXISTS reserved_tokens bigint, ADD COLUMN IF NOT EXISTS reserved_cost numeric,
     ADD COLUMN IF NOT EXISTS budget_of text`,

  // A call may also get other figures of the cache after its end.
  `CREATE OR REPLACE TRIGGER model_calls_price BEFORE UPDATE ON model_calls
     FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL AND (
       OLD.ended_at IS NULL OR NEW.input_tokens IS DISTINCT FROM OLD.input_tokens OR NEW.output_tokens IS DISTINCT FROM OLD.output_tokens
       OR NEW.cache_read_tokens IS DISTINCT FROM OLD.cache_read_tokens OR NEW.server_tools IS DISTINCT FROM OLD.server_tools
       OR NEW.cache_write_5m_tokens IS DISTINCT FROM OLD.cache_write_5m_tokens
       OR NEW.cache_write_1h_tokens IS DISTINCT FROM OLD.cache_write_1h_tokens))
     EXECUTE FUNCTION price_call()`,
];

/** Its predicate is repeated by the statements of budgets alone, so no other index fits these, and this one fits no others. */
const INDEX = `CREATE INDEX CONCURRENTLY jobs_of_budget ON jobs (budget_of)
  WHERE budget_of IS NOT NULL AND (status || ' budget') IN ('queued budget', 'running budget', 'requires_action budget')`;

const IS_BUILT = `
  SELECT coalesce(bool_or(indisvalid), false) AS built FROM pg_index WHERE indexrelid = to_regclass('jobs_of_budget')`;

/** Each is a statement of its own, as above. All but the last are STABLE: what they read belongs to the snapshot of their caller. */
const FUNCTIONS = [
  `CREATE OR REPLACE FUNCTION this_day() RETURNS timestamptz LANGUAGE sql STABLE AS $$
     SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
   $$`,

  // The tokens of a chat's next prompt: those of the last reply and its prompt, as the model counted them, and four bytes a token of what
  // came later. Before the first reply it is an estimate by bytes alone.
  `CREATE OR REPLACE FUNCTION prompt_tokens(of_chat uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
     SELECT coalesce(c.context_tokens, (v.prompt_bytes + v.tool_bytes) / 4) + (
       SELECT coalesce(sum(octet_length(later.content)), 0) / 4 FROM (
         SELECT m.content FROM messages m
          WHERE m.chat_id = c.id AND m.role IN ('user', 'assistant')
            AND m.seq > CASE WHEN c.context_tokens IS NULL THEN 0 ELSE coalesce((
              SELECT r.seq FROM messages r WHERE r.chat_id = c.id AND r.role = 'assistant' ORDER BY r.seq DESC LIMIT 1), 0) END
          ORDER BY m.seq DESC LIMIT 400) later)
       FROM chats c JOIN assistants a ON a.slug = c.assistant_slug
       JOIN assistant_versions v ON v.slug = a.slug AND v.version = a.version
      WHERE c.id = of_chat
   $$`,

  // The input of a call whose worker has not reported it: that of the turn's last step and its answer, or of the chat's next prompt.
  `CREATE OR REPLACE FUNCTION unreported_input(of_job uuid, in_chat uuid) RETURNS integer LANGUAGE sql STABLE AS $$
     SELECT coalesce((
       SELECT e.input_tokens + coalesce(e.output_tokens, 0) FROM model_calls e
        WHERE e.job_id = of_job AND e.step > 0 AND e.outcome = 'completed' ORDER BY e.attempt DESC, e.step DESC LIMIT 1
     ), prompt_tokens(in_chat))::integer
   $$`,

  // What the calls of an unfinished job have used today, since it was accepted or put back. A job without attempts has made none.
  `CREATE OR REPLACE FUNCTION job_usage(of_job uuid, attempts integer, since timestamptz) RETURNS TABLE (tokens bigint, cost numeric)
   LANGUAGE sql STABLE AS $$
     SELECT coalesce(sum(coalesce(e.input_tokens, 0) + coalesce(e.output_tokens, 0)), 0)::bigint, coalesce(sum(e.cost), 0) FROM model_calls e
      WHERE attempts > 0 AND e.job_id = of_job AND e.started_at >= greatest(since, this_day())
   $$`,

  // What a user has used today, and what the unfinished turns may use besides. The ledger has the calls of unfinished turns already.
  `CREATE OR REPLACE FUNCTION user_usage(of_user text, OUT tokens bigint, OUT cost numeric, OUT reserved_tokens bigint, OUT reserved_cost numeric)
   LANGUAGE sql STABLE AS $$
     SELECT spent.tokens, spent.cost, reserved.tokens, reserved.cost
       FROM (SELECT coalesce(sum(coalesce(e.input_tokens, 0) + coalesce(e.output_tokens, 0)), 0)::bigint AS tokens, coalesce(sum(e.cost), 0) AS cost
               FROM model_calls e WHERE e.user_id = of_user AND e.started_at >= this_day()) spent,
            (SELECT coalesce(sum(greatest(j.reserved_tokens - its.tokens, 0)), 0)::bigint AS tokens,
                    coalesce(sum(greatest(j.reserved_cost - its.cost, 0)), 0) AS cost
               FROM jobs j CROSS JOIN LATERAL job_usage(j.id, j.attempts, coalesce(j.requeued_at, j.created_at)) its
              WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user', 'requires_action user')) reserved
   $$`,

  // The same for an assistant. Thousands of its turns may wait, and most of these have no calls.
  `CREATE OR REPLACE FUNCTION assistant_usage(of_assistant text, OUT cost numeric, OUT reserved_cost numeric) LANGUAGE sql STABLE AS $$
     SELECT (SELECT coalesce(sum(s.cost), 0) FROM spending s
              WHERE s.day = (this_day() AT TIME ZONE 'UTC')::date AND s.assistant_slug = of_assistant),
            (SELECT coalesce(sum(CASE WHEN j.attempts = 0 THEN j.reserved_cost ELSE greatest(0, j.reserved_cost - (
                      SELECT its.cost FROM job_usage(j.id, j.attempts, coalesce(j.requeued_at, j.created_at)) its)) END), 0)
               FROM jobs j
              WHERE j.budget_of = of_assistant AND (j.status || ' budget') IN ('queued budget', 'running budget', 'requires_action budget'))
   $$`,

  /*
   * Finds out whether a turn of the user in the chat fits in the budgets of the day, and what it reserves. A turn fits while less than the
   * budget is spent and reserved, so one turn's reserve at most goes beyond it.
   *
   * VOLATILE: it must see what was committed while the statement around it waited for the caller's row, and while this function waited for
   * other turns with the assistant. Each budget is checked by one statement: a turn that ends between two would count in neither.
   */
  `CREATE OR REPLACE FUNCTION reserve_turn(of_user text, in_chat uuid, more_bytes integer, tokens_per_day bigint, cost_per_day numeric,
                                           OUT tokens bigint, OUT cost numeric, OUT of_assistant text,
                                           OUT exhausted text, OUT by_reserves boolean) LANGUAGE plpgsql VOLATILE AS $$
   DECLARE
     a record;
     used record;
     prompt bigint;
   BEGIN
     SELECT s.slug, s.cost_per_day AS budget, s.max_output_tokens AS most, s.model, s.fallback_model, s.cache_ttl INTO a
       FROM chats c JOIN assistants s ON s.slug = c.assistant_slug WHERE c.id = in_chat;
     IF tokens_per_day IS NULL AND cost_per_day IS NULL AND a.budget IS NULL THEN
       RETURN;
     END IF;
     prompt := prompt_tokens(in_chat) + more_bytes / 4;
     IF tokens_per_day IS NOT NULL THEN
       tokens := prompt + a.most;
     END IF;
     IF cost_per_day IS NOT NULL OR a.budget IS NOT NULL THEN
       -- As if the cache had nothing, and all were written to it.
       SELECT max(prompt * greatest(p.input, CASE a.cache_ttl WHEN '1h' THEN p.cache_write_1h ELSE p.cache_write_5m END) + a.most * p.output)
              / 1000000 INTO cost
         FROM prices p WHERE p.model IN (a.model, a.fallback_model);
     END IF;
     IF tokens_per_day IS NOT NULL OR cost_per_day IS NOT NULL THEN
       SELECT * INTO used FROM user_usage(of_user);
       exhausted := CASE WHEN used.tokens + used.reserved_tokens >= tokens_per_day THEN 'user_tokens'
                         WHEN used.cost + used.reserved_cost >= cost_per_day THEN 'user_cost' END;
       by_reserves := CASE exhausted WHEN 'user_tokens' THEN used.tokens < tokens_per_day WHEN 'user_cost' THEN used.cost < cost_per_day END;
     END IF;
     IF exhausted IS NULL AND a.budget IS NOT NULL THEN
       of_assistant := a.slug;
       -- A budget that is spent keeps nobody waiting.
       IF a.budget <= (SELECT sum(s.cost) FROM spending s WHERE s.day = (this_day() AT TIME ZONE 'UTC')::date AND s.assistant_slug = a.slug) THEN
         exhausted := 'assistant_cost';
         by_reserves := false;
         RETURN;
       END IF;
       -- Turns with one assistant are accepted one after the other. This is the last lock before the commit.
       PERFORM pg_advisory_xact_lock(hashtextextended('budget:' || a.slug, 0));
       SELECT * INTO used FROM assistant_usage(a.slug);
       IF used.cost + used.reserved_cost >= a.budget THEN
         exhausted := 'assistant_cost';
         by_reserves := used.cost < a.budget;
       END IF;
     END IF;
   END $$`,
];

/**
 * Budgets: what unfinished turns may use.
 *
 * Locks `jobs` and `model_calls`, one after the other and each for a moment, and rewrites neither. The index is built beside the running
 * service. Turns that services of the previous version accept reserve nothing; what they use counts.
 */
export class Budgets1795565985000 implements MigrationInterface {
  /** An index that is built beside the running service cannot be built in a transaction. If the migration breaks off, it begins anew. */
  transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of TABLES) await runner.query(statement);
    if (!((await runner.query(IS_BUILT)) as { built: boolean }[])[0]?.built) await this.build(runner);
    for (const statement of FUNCTIONS) await runner.query(statement);
  }

  private async build(runner: QueryRunner): Promise<void> {
    // A build that broke off leaves an unusable index.
    await runner.query('DROP INDEX IF EXISTS jobs_of_budget');
    const [{ lock_timeout: before }] = (await runner.query('SHOW lock_timeout')) as [{ lock_timeout: string }];
    await runner.query(`SET lock_timeout = ${INDEX_WAIT_MS}`);
    try {
      await runner.query(INDEX);
    } finally {
      await runner.query(`SET lock_timeout = '${before}'`);
    }
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
