import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Deletion: released chats, receipts of erased users, how long an assistant's chats are kept, and indexes. Without the indexes each deleted
 * row would need a scan of whole tables.
 */
export class DataCare1795565300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- A chat that is removed is taken from its user first, at once; then its rows go, a batch at a time.
      ALTER TABLE chats ALTER COLUMN user_id DROP NOT NULL, ADD COLUMN released_from text,
        ADD CONSTRAINT chats_one_owner CHECK (num_nonnulls(user_id, released_from) = 1);
      CREATE INDEX chats_released ON chats (released_from) WHERE user_id IS NULL;
      -- What retention reads, and what the reference to assistants is checked by.
      CREATE INDEX chats_age ON chats (assistant_slug, last_message_at);
      ALTER TABLE assistants ADD COLUMN retention_days integer CHECK (retention_days >= 1);
      CREATE TABLE receipts (
        id               uuid PRIMARY KEY,
        -- Known until all is removed, and then no more.
        user_id          text,
        begun_at         timestamptz(3) NOT NULL DEFAULT now(),
        ended_at         timestamptz(3),
        chats            bigint NOT NULL DEFAULT 0 CHECK (chats >= 0),
        messages         bigint NOT NULL DEFAULT 0 CHECK (messages >= 0),
        jobs             bigint NOT NULL DEFAULT 0 CHECK (jobs >= 0),
        idempotency_keys bigint NOT NULL DEFAULT 0 CHECK (idempotency_keys >= 0),
        CONSTRAINT receipts_forget CHECK ((user_id IS NULL) = (ended_at IS NOT NULL))
      );
      CREATE UNIQUE INDEX receipts_open ON receipts (user_id) WHERE user_id IS NOT NULL;
      -- Each row that is removed is looked for in what may refer to it.
      CREATE INDEX jobs_chat ON jobs (chat_id, id);
      CREATE INDEX jobs_user_message_id ON jobs (user_message_id);
      CREATE INDEX idempotency_keys_job ON idempotency_keys (job_id) WHERE job_id IS NOT NULL;
      CREATE INDEX idempotency_keys_message ON idempotency_keys (message_id) WHERE message_id IS NOT NULL;
      CREATE INDEX idempotency_keys_chat ON idempotency_keys ((chat ->> 'id')) WHERE chat IS NOT NULL;
      -- What a call cost is kept when its job is not.
      ALTER TABLE model_calls DROP CONSTRAINT model_calls_job_id_fkey;
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
