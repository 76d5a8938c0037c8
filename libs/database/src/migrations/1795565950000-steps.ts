import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Longest wait for transactions that are older than the new index, in milliseconds. No other session waits behind it. */
const INDEX_WAIT_MS = 10 * 60_000;

/** Each runs by itself: a transaction that locks several tables could deadlock with turns in flight. Each may run twice. */
const STATEMENTS = [
  // Every definition that was ever on offer. Claims read the generated columns and not the definition, which may be long.
  `CREATE TABLE IF NOT EXISTS assistant_versions (
     slug              text NOT NULL REFERENCES assistants (slug),
     version           integer NOT NULL,
     definition        jsonb NOT NULL,
     model             text NOT NULL GENERATED ALWAYS AS (definition ->> 'model') STORED,
     max_output_tokens integer NOT NULL GENERATED ALWAYS AS ((definition ->> 'max_output_tokens')::integer) STORED,
     prompt_bytes      integer NOT NULL GENERATED ALWAYS AS (octet_length(definition ->> 'system_prompt')) STORED,
     created_at        timestamptz(3) NOT NULL DEFAULT now(),
     PRIMARY KEY (slug, version)
   )`,
  // A trigger, so that services of the previous version store their definitions, too.
  `CREATE OR REPLACE FUNCTION keep_assistant_version() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO assistant_versions (slug, version, definition)
     VALUES (NEW.slug, NEW.version, to_jsonb(NEW) - ARRAY['slug', 'version', 'retired_at'])
     ON CONFLICT DO NOTHING;
     RETURN NULL;
   END $$`,
  `CREATE OR REPLACE TRIGGER assistants_keep_version AFTER INSERT OR UPDATE OF version ON assistants
     FOR EACH ROW EXECUTE FUNCTION keep_assistant_version()`,
  `INSERT INTO assistant_versions (slug, version, definition)
   SELECT slug, version, to_jsonb(a) - ARRAY['slug', 'version', 'retired_at'] FROM assistants a
   ON CONFLICT DO NOTHING`,

  // Without an assistant_version, the next claim takes the current one. `step`: how many steps are finished. `kept`: their text.
  // `window_from_seq`: the first message in their history.
  `ALTER TABLE jobs ADD COLUMN IF NOT EXISTS assistant_version integer, ADD COLUMN IF NOT EXISTS step smallint NOT NULL DEFAULT 0,
     ADD COLUMN IF NOT EXISTS kept text NOT NULL DEFAULT '', ADD COLUMN IF NOT EXISTS window_from_seq integer`,

  // The finished steps of unfinished turns. `content`: the model's blocks as they came; json keeps the order of keys, and jsonb does not.
  // `text`: what the step added to the reply's text. `ends_at`: the length of that text after it, in UTF-16 code units.
  `CREATE TABLE IF NOT EXISTS steps (
     job_id      uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
     step        smallint NOT NULL CHECK (step >= 1),
     attempt     integer NOT NULL CHECK (attempt >= 1),
     content     json NOT NULL,
     stop_reason text NOT NULL,
     text        text NOT NULL,
     ends_at     integer NOT NULL CHECK (ends_at >= 0),
     PRIMARY KEY (job_id, step)
   )`,

  // Without parts, the message is its content alone.
  `ALTER TABLE messages ADD COLUMN IF NOT EXISTS parts jsonb, ADD COLUMN IF NOT EXISTS assistant_version integer`,

  // An attempt calls the model once for each step, so the ledger's key has the step.
  `ALTER TABLE model_calls ADD COLUMN IF NOT EXISTS step smallint NOT NULL DEFAULT 1`,
];

const INDEX = 'CREATE UNIQUE INDEX CONCURRENTLY model_calls_key ON model_calls (job_id, attempt, step)';

/** The exchange of the key may have to wait, and be tried again. A later try uses the index that an earlier one has built. */
const IS_BUILT = `
  SELECT coalesce(bool_or(indisvalid), false) AS built FROM pg_index WHERE indexrelid = to_regclass('model_calls_key')`;

const KEY = `
  ALTER TABLE model_calls DROP CONSTRAINT model_calls_pkey,
    ADD CONSTRAINT model_calls_pkey PRIMARY KEY USING INDEX model_calls_key`;

/**
 * A reply is a list of parts, a turn is a job of one or more steps, and a job is answered by the definition with which it was accepted.
 *
 * Locks `assistants`, `jobs`, `messages` and `model_calls`, one after the other and each for a moment, and rewrites none of them. The index
 * is built beside the running service.
 *
 * Services of the previous version go on. They name no version of the assistant; the first claim of a newer worker does. They finish no
 * step, and begin a turn with finished steps anew.
 */
export class Steps1795565950000 implements MigrationInterface {
  /** An index that is built beside the running service cannot be built in a transaction. If the migration breaks off, it begins anew. */
  transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
    if (!((await runner.query(IS_BUILT)) as { built: boolean }[])[0]?.built) await this.build(runner);
    await runner.query(KEY);
  }

  private async build(runner: QueryRunner): Promise<void> {
    // A build that broke off leaves an unusable index.
    await runner.query('DROP INDEX IF EXISTS model_calls_key');
    const [{ lock_timeout: before }] = (await runner.query('SHOW lock_timeout')) as [{ lock_timeout: string }];
    await runner.query(`SET lock_timeout = ${INDEX_WAIT_MS}`);
    try {
      await runner.query(INDEX);
    } finally {
      await runner.query(`SET lock_timeout = '${before}'`);
    }
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
