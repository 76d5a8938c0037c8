import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The ledger: an entry for each call of the model, with its outcome and tokens. */
export class Ledger1795564800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE model_calls (
        job_id        uuid NOT NULL REFERENCES jobs (id),
        attempt       integer NOT NULL CHECK (attempt >= 1),
        model         text NOT NULL,
        outcome       text NOT NULL DEFAULT 'running'
                      CHECK (outcome IN ('running', 'completed', 'failed', 'canceled', 'handed_back', 'lost')),
        error_code    text,
        message_id    text,
        input_tokens  integer CHECK (input_tokens >= 0),
        output_tokens integer CHECK (output_tokens >= 0),
        first_text_ms integer CHECK (first_text_ms >= 0),
        started_at    timestamptz(3) NOT NULL DEFAULT now(),
        ended_at      timestamptz(3),
        -- An attempt calls the model once.
        PRIMARY KEY (job_id, attempt),
        CONSTRAINT model_calls_ended CHECK ((outcome = 'running') = (ended_at IS NULL)),
        CONSTRAINT model_calls_failed_has_code CHECK ((outcome = 'failed') = (error_code IS NOT NULL))
      );
      -- What the reconciler reads: small however many calls there were.
      CREATE INDEX model_calls_running ON model_calls (started_at) WHERE outcome = 'running';
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
