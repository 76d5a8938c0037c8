import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Assistants, chats, messages and jobs, with the constraints behind the service's promises. */
export class Core1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE assistants (
        slug              text PRIMARY KEY CHECK (slug ~ '^[a-z][a-z0-9-]{0,62}$'),
        name              text NOT NULL,
        description       text NOT NULL,
        system_prompt     text NOT NULL,
        welcome_message   text NOT NULL,
        model             text NOT NULL,
        max_output_tokens integer NOT NULL CHECK (max_output_tokens > 0),
        version           integer NOT NULL DEFAULT 1 CHECK (version >= 1),
        retired_at        timestamptz(3)
      );

      CREATE TABLE chats (
        id              uuid PRIMARY KEY,
        user_id         text NOT NULL,
        assistant_slug  text NOT NULL REFERENCES assistants (slug),
        status          text NOT NULL CHECK (status IN ('active', 'archived', 'closed')),
        title           text,
        metadata        jsonb NOT NULL DEFAULT '{}',
        last_seq        integer NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
        created_at      timestamptz(3) NOT NULL DEFAULT now(),
        updated_at      timestamptz(3) NOT NULL DEFAULT now(),
        last_message_at timestamptz(3) NOT NULL DEFAULT now()
      );
      -- At most one active chat per user and assistant; also how "create or retrieve" finds it.
      CREATE UNIQUE INDEX chats_one_active ON chats (user_id, assistant_slug) WHERE status = 'active';
      CREATE INDEX chats_by_activity ON chats (user_id, last_message_at DESC, id DESC);

      CREATE TABLE jobs (
        id              uuid PRIMARY KEY,
        type            text NOT NULL CHECK (type = 'assistant-reply'),
        status          text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
        chat_id         uuid NOT NULL REFERENCES chats (id),
        user_id         text NOT NULL,
        user_message_id uuid NOT NULL,
        request_id      text NOT NULL,
        attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        attempts_left   smallint NOT NULL CHECK (attempts_left >= 0),
        available_at    timestamptz(3) NOT NULL DEFAULT now(),
        lease_until     timestamptz(3),
        draft           text NOT NULL DEFAULT '',
        error_code      text,
        error_message   text,
        created_at      timestamptz(3) NOT NULL DEFAULT now(),
        started_at      timestamptz(3),
        finished_at     timestamptz(3),
        CONSTRAINT jobs_running_has_lease CHECK ((status = 'running') = (lease_until IS NOT NULL)),
        CONSTRAINT jobs_final_has_end CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
        CONSTRAINT jobs_failed_has_error CHECK ((status = 'failed') = (error_code IS NOT NULL))
      );
      -- One turn in flight per chat.
      CREATE UNIQUE INDEX jobs_one_unfinished ON jobs (chat_id) WHERE status IN ('queued', 'running');
      -- What the reconciler reads: small however many jobs have finished.
      CREATE INDEX jobs_due ON jobs (available_at) WHERE status = 'queued';
      CREATE INDEX jobs_leased ON jobs (lease_until) WHERE status = 'running';

      CREATE TABLE messages (
        id            uuid PRIMARY KEY,
        chat_id       uuid NOT NULL REFERENCES chats (id),
        seq           integer NOT NULL CHECK (seq >= 1),
        role          text NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
        content       text NOT NULL,
        status        text NOT NULL DEFAULT 'complete' CHECK (status IN ('complete', 'incomplete')),
        metadata      jsonb NOT NULL DEFAULT '{}',
        job_id        uuid REFERENCES jobs (id),
        model         text,
        stop_reason   text,
        input_tokens  integer,
        output_tokens integer,
        created_at    timestamptz(3) NOT NULL DEFAULT now(),
        CONSTRAINT messages_seq UNIQUE (chat_id, seq),
        -- One assistant message per job, and therefore per turn.
        CONSTRAINT messages_one_per_job UNIQUE (job_id),
        CONSTRAINT messages_job_is_assistants CHECK ((role = 'assistant') = (job_id IS NOT NULL))
      );
      ALTER TABLE jobs ADD CONSTRAINT jobs_user_message FOREIGN KEY (user_message_id) REFERENCES messages (id);
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
