import type pg from 'pg';
import { newId } from '#database/ids.js';

/** Makes more active chats for one user than there are assistants: each is with an assistant of its own. @returns their ids */
export async function manyChats(database: pg.Pool, user: string, count: number): Promise<string[]> {
  await database.query(
    `INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens)
     SELECT 'bulk-' || n, 'B', 'B', 'P', 'W', 'claude-sonnet-5-5', 100 FROM generate_series(1, $1) n
     ON CONFLICT DO NOTHING`,
    [count],
  );
  const ids = Array.from({ length: count }, () => newId());
  await database.query(
    `INSERT INTO chats (id, user_id, assistant_slug, status)
     SELECT id, $2, 'bulk-' || n, 'active' FROM unnest($1::uuid[]) WITH ORDINALITY AS c (id, n)`,
    [ids, user],
  );
  return ids;
}
