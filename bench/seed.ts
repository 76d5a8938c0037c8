import type pg from 'pg';
import { v7 as newId } from 'uuid';

/** Talkers have a chat with messages. Starters have a new chat each, to which turns are sent. */
export const TALKERS = 100;
export const TURNS_EACH = 50;

export const ASSISTANT = 'support';

/** A user with an empty chat. */
export interface Starter {
  readonly user: string;
  readonly chat: string;
}

/** A user with a chat of some turns, and the job of the last one. */
export interface Talker extends Starter {
  readonly job: string;
}

/** The users of a side. */
export interface Seeds {
  readonly talkers: readonly Talker[];
  readonly starters: readonly Starter[];
}

/** Fills a migrated database, in the same way on both sides. The assistant must exist. */
export async function seed(database: pg.Pool, starters: number): Promise<Seeds> {
  const seeds: Seeds = {
    talkers: Array.from({ length: TALKERS }, (_, n) => ({ user: `talker-${n}`, chat: newId(), job: newId() })),
    starters: Array.from({ length: starters }, (_, n) => ({ user: `starter-${n}`, chat: newId() })),
  };
  const all = [...seeds.talkers, ...seeds.starters];
  await database.query(
    `INSERT INTO chats (id, user_id, assistant_slug, status, last_seq)
     SELECT id, user_id, $3, 'active', 1 FROM unnest($1::uuid[], $2::text[]) AS c (id, user_id)`,
    [all.map(({ chat }) => chat), all.map(({ user }) => user), ASSISTANT],
  );
  await database.query(
    `INSERT INTO messages (id, chat_id, seq, role, content)
     SELECT gen_random_uuid(), id, 1, 'system', 'Welcome. What can I do for you?' FROM chats`,
  );
  await database.query(
    `CREATE TABLE seeded AS
     SELECT t.chat, t.user_id, n, gen_random_uuid() AS message, CASE n WHEN $4::int THEN t.job ELSE gen_random_uuid() END AS job
       FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS t (chat, user_id, job), generate_series(1, $4::int) AS n`,
    [
      seeds.talkers.map(({ chat }) => chat),
      seeds.talkers.map(({ user }) => user),
      seeds.talkers.map(({ job }) => job),
      TURNS_EACH,
    ],
  );
  await database.query(
    `INSERT INTO messages (id, chat_id, seq, role, content)
     SELECT message, chat, 2 * n, 'user', 'And what about the order of the other day, number ' || n || '?' FROM seeded`,
  );
  await database.query(
    `INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts, attempts_left, started_at, finished_at)
     SELECT job, 'assistant-reply', 'succeeded', chat, user_id, message, 'seed', 1, 4, now(), now() FROM seeded`,
  );
  await database.query(
    `INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens)
     SELECT gen_random_uuid(), chat, 2 * n + 1, 'assistant', repeat('It is on its way, as the last one was. ', 4), job, 'm', 'end_turn', 9, 40
       FROM seeded`,
  );
  await database.query(
    `INSERT INTO model_calls (job_id, attempt, model, outcome, input_tokens, output_tokens, ended_at, user_id, assistant_slug)
     SELECT job, 1, 'm', 'completed', 9, 40, now(), user_id, $1 FROM seeded`,
    [ASSISTANT],
  );
  await database.query('UPDATE chats SET last_seq = 1 + 2 * $1::int WHERE id IN (SELECT chat FROM seeded)', [
    TURNS_EACH,
  ]);
  await database.query('DROP TABLE seeded');
  await database.query('VACUUM ANALYZE');
  return seeds;
}
