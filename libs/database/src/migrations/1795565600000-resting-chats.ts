import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Lists of chats with any filters, from indexes to which no turn writes. An update writes to every index of its table, unless it changes no
 * column that an index names, even in a condition: then it writes to none ("heap-only"). So no index names a column that each turn changes.
 *
 * The migration locks `chats` (ACCESS EXCLUSIVE) until it is done, so no turn goes on meanwhile. It writes the table and its indexes anew.
 * A hundred thousand chats took 2 s on two busy cores, and the time grows with their number.
 */
export class RestingChats1795565600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- A chat's last message is its place in its user's list, and each turn moves it twice. Of active chats a user has one with each
      -- assistant, so these are sorted as they are read; only for the others, which take no turns, it is in an index.
      ALTER TABLE chats
        ADD COLUMN rested_at timestamptz(3) GENERATED ALWAYS AS (CASE WHEN status <> 'active' THEN last_message_at END) STORED,
        -- What retention reads instead, and moves on itself, once in a chat's time: never after the last message.
        ADD COLUMN idle_since timestamptz(3) NOT NULL DEFAULT '-infinity',
        -- Room for the next versions of a row beside it: without it an update writes to all indexes after all.
        SET (fillfactor = 80);
      DROP INDEX chats_by_activity, chats_age;
      -- In an order that no other index has: of that of ids the primary key would be taken, for users who are known to have many.
      CREATE INDEX chats_of_user ON chats (user_id, created_at, id);
      CREATE INDEX chats_at_rest ON chats (user_id, status, rested_at, id) WHERE status <> 'active';
      CREATE INDEX chats_at_rest_with ON chats (user_id, assistant_slug, status, rested_at, id) WHERE status <> 'active';
      -- Also what the reference to assistants is checked by.
      CREATE INDEX chats_retention ON chats (assistant_slug, idle_since);
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
