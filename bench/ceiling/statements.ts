/*
 * The ceiling's statements: they write the same rows of the same tables as the product, each in one statement, without limits, keys,
 * fencing or cancels.
 */

const MESSAGE = `m.id, m.chat_id, m.seq, m.role, m.content, m.status, m.job_id, m.metadata, m.created_at, m.model, m.stop_reason,
  m.input_tokens, m.output_tokens`;

/** Only the first row has the chat. */
export const OPEN_CHAT = `
  SELECT ${MESSAGE}, CASE m.seq WHEN c.last_seq THEN json_build_object(
           'id', c.id, 'assistant', c.assistant_slug, 'status', c.status, 'title', c.title, 'metadata', c.metadata,
           'created_at', c.created_at, 'updated_at', c.updated_at, 'last_message_at', c.last_message_at) END AS chat
    FROM chats c JOIN messages m ON m.chat_id = c.id
   WHERE c.user_id = $1 AND c.assistant_slug = $2 AND c.status = 'active' ORDER BY m.seq DESC LIMIT $3`;

export const PAGE = `
  SELECT ${MESSAGE} FROM messages m JOIN chats c ON c.id = m.chat_id
   WHERE m.chat_id = $1 AND c.user_id = $2 ORDER BY m.seq DESC LIMIT $3`;

export const READ_JOB = `
  SELECT j.id, j.type, j.status, j.chat_id, j.user_message_id, j.attempts, j.created_at, j.started_at, j.finished_at,
         to_jsonb(m) AS assistant_message
    FROM jobs j LEFT JOIN messages m ON m.job_id = j.id WHERE j.id = $1 AND j.user_id = $2`;

export const ACCEPT = `
  WITH chat AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = now() WHERE id = $1 AND user_id = $2
    RETURNING id, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, metadata, created_at)
    SELECT $3, id, last_seq, 'user', $4, '{}', last_message_at FROM chat RETURNING *
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left)
    SELECT $5, 'assistant-reply', 'queued', chat_id, $2, id, $6, 5 FROM message RETURNING *
  )
  SELECT job.id, job.type, job.status, job.chat_id, job.user_message_id, job.attempts, job.created_at, message.seq,
         message.created_at AS message_created_at
    FROM job, message`;

export const CLAIM = `
  WITH job AS (
    UPDATE jobs SET status = 'running', attempts = 1, attempts_left = 4, started_at = now(), lease_until = now() + interval '10 seconds'
     WHERE id = $1 RETURNING *
  ), call AS (
    INSERT INTO model_calls (job_id, attempt, model, user_id, assistant_slug)
    SELECT job.id, 1, a.model, job.user_id, a.slug
      FROM job JOIN chats c ON c.id = job.chat_id JOIN assistants a ON a.slug = c.assistant_slug
  )
  SELECT a.system_prompt, a.model, a.max_output_tokens, history.messages
    FROM job JOIN chats c ON c.id = job.chat_id JOIN assistants a ON a.slug = c.assistant_slug, LATERAL (
      SELECT json_agg(json_build_object('role', m.role, 'content', m.content) ORDER BY m.seq) AS messages FROM (
        SELECT role, content, seq FROM messages WHERE chat_id = job.chat_id ORDER BY seq DESC LIMIT 200) m
       WHERE m.role <> 'system') history`;

export const FINISH = `
  WITH job AS (
    UPDATE jobs SET status = 'succeeded', lease_until = NULL, finished_at = now() WHERE id = $1 RETURNING id, chat_id
  ), call AS (
    UPDATE model_calls SET outcome = 'completed', ended_at = now(), input_tokens = $5, output_tokens = $6, message_id = $7
     WHERE job_id = $1 AND attempt = 1
  ), chat AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = now() FROM job WHERE chats.id = job.chat_id
    RETURNING chats.id, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens, created_at)
    SELECT $2, id, last_seq, 'assistant', $3, $1, $4, 'end_turn', $5, $6, last_message_at FROM chat
  )
  SELECT pg_notify('ceiling', $1::text)`;
