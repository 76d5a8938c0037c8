import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Idempotency keys, each with the effect of its request. */
export class IdempotencyKeys1795564900000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE idempotency_keys (
        user_id     text NOT NULL,
        key         text NOT NULL,
        fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
        job_id      uuid REFERENCES jobs (id),
        message_id  uuid REFERENCES messages (id),
        chat        jsonb,
        created     boolean NOT NULL,
        created_at  timestamptz(3) NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, key),
        CONSTRAINT idempotency_keys_one_effect CHECK (num_nonnulls(job_id, message_id, chat) = 1)
      );
      -- What is purged.
      CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
