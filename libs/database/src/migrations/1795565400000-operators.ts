import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Operators' views and switches: jobs by age and by user, usage, the switch of dispatch, and the board's sessions. */
export class Operators1795565400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE jobs ADD COLUMN requeued_at timestamptz(3);
      -- The hour a job has begins anew when an operator puts it back.
      DROP INDEX jobs_age;
      CREATE INDEX jobs_age ON jobs ((coalesce(requeued_at, created_at))) WHERE status = 'queued';
      -- Lists of jobs, from either end. Waiting and running ones have their own indexes; of the final ones, the failed are few.
      CREATE INDEX jobs_by_age ON jobs (created_at, id);
      CREATE INDEX jobs_by_user ON jobs (user_id, created_at, id);
      CREATE INDEX jobs_failed ON jobs (created_at, id) WHERE status = 'failed';

      -- Whose call it was. Null: the user's data was deleted; or, of either, an older version opened the line.
      ALTER TABLE model_calls ADD COLUMN user_id text, ADD COLUMN assistant_slug text;
      UPDATE model_calls SET user_id = j.user_id, assistant_slug = c.assistant_slug
        FROM jobs j JOIN chats c ON c.id = j.chat_id WHERE j.id = model_calls.job_id;
      CREATE INDEX model_calls_by_day ON model_calls (started_at);
      CREATE INDEX model_calls_by_user ON model_calls (user_id, started_at);

      CREATE TABLE dispatch (
        -- There is one row.
        one        boolean PRIMARY KEY DEFAULT true CHECK (one),
        paused     boolean NOT NULL DEFAULT false,
        changed_at timestamptz(3) NOT NULL DEFAULT now(),
        changed_by text
      );
      INSERT INTO dispatch DEFAULT VALUES;

      CREATE TABLE admin_sessions (
        -- SHA-256 of what the link, or later the cookie, holds.
        secret_hash bytea PRIMARY KEY CHECK (length(secret_hash) = 32),
        user_id     text NOT NULL,
        -- Until when it can be opened; null once it is open.
        link_until  timestamptz(3),
        expires_at  timestamptz(3) NOT NULL
      );
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
