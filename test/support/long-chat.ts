import type pg from 'pg';

/**
 * Makes a chat as long as it would be after this many turns, each with its message, its job with the call in the ledger and the idempotency
 * key, and its reply. The chat must be active and have no turn in flight. The function also runs ANALYZE, since otherwise PostgreSQL would
 * plan by the old size.
 */
export async function lengthen(database: pg.Pool, chatId: string, turns: number, analyzed = true): Promise<void> {
  const client = await database.connect();
  try {
    await client.query('BEGIN');
    await client.query(
      `CREATE TEMP TABLE turns ON COMMIT DROP AS
       SELECT n, c.id AS chat_id, c.user_id, c.assistant_slug, c.last_seq + 2 * n - 1 AS seq, gen_random_uuid() AS message_id,
              gen_random_uuid() AS job_id, c.created_at + n * interval '1 millisecond' AS at
         FROM chats c, generate_series(1, $2::int) n WHERE c.id = $1`,
      [chatId, turns],
    );
    await client.query(
      `INSERT INTO messages (id, chat_id, seq, role, content, created_at)
       SELECT message_id, chat_id, seq, 'user', 'What about ' || n || '?', at FROM turns`,
    );
    await client.query(
      `INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts, attempts_left,
                         created_at, started_at, finished_at)
       SELECT job_id, 'assistant-reply', 'succeeded', chat_id, user_id, message_id, 'seed', 1, 4, at, at, at FROM turns`,
    );
    await client.query(
      `INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens, created_at)
       SELECT gen_random_uuid(), chat_id, seq + 1, 'assistant', 'That is ' || n || '.', job_id, 'm', 'end_turn', 9, 9, at FROM turns`,
    );
    await client.query(
      `INSERT INTO model_calls (job_id, attempt, model, outcome, input_tokens, output_tokens, started_at, ended_at, user_id, assistant_slug)
       SELECT job_id, 1, 'm', 'completed', 9, 9, at, at, user_id, assistant_slug FROM turns`,
    );
    await client.query(
      `INSERT INTO idempotency_keys (user_id, key, fingerprint, job_id, created)
       SELECT user_id, job_id::text, sha256(job_id::text::bytea), job_id, true FROM turns`,
    );
    await client.query('UPDATE chats SET last_seq = last_seq + 2 * $2::int WHERE id = $1', [chatId, turns]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
  if (analyzed) await database.query('ANALYZE');
}
