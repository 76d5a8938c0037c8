/**
 * Makes a long queue at once: turns that have waited longer than any later turn. Each is of another user (`waits1` and so on), in a chat
 * with the assistant `slug`.
 */
export async function waitingTurns(
  database: { query(text: string, values: unknown[]): Promise<unknown> },
  count: number,
  slug: string,
  user = 'waits',
): Promise<void> {
  await database.query(
    `WITH turn AS (
       SELECT $3 || n AS user_id, gen_random_uuid() AS chat_id, gen_random_uuid() AS message_id FROM generate_series(1, $1::int) n
     ), chat AS (
       INSERT INTO chats (id, user_id, assistant_slug, status, last_seq) SELECT chat_id, user_id, $2, 'active', 1 FROM turn
     ), message AS (
       INSERT INTO messages (id, chat_id, seq, role, content) SELECT message_id, chat_id, 1, 'user', 'And?' FROM turn
     )
     INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left)
     SELECT ('00000000' || substr(gen_random_uuid()::text, 9))::uuid, 'assistant-reply', 'queued', chat_id, user_id, message_id, 'waits', 5 FROM turn`,
    [count, slug, user],
  );
}
