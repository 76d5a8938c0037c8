import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Indexes of unfinished jobs and of open entries of the ledger. Each serves only its own statements.
 *
 * The migration locks `jobs` and `model_calls` (ACCESS EXCLUSIVE) until it is done, so no turn goes on meanwhile. It reads `jobs` five
 * times and `model_calls` once; the new indexes are small. A million jobs took 2 s on two busy cores, and the time grows with their number.
 */
export class UnfinishedJobs1795565500000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- What is unfinished, in its orders, each in words of its own: that of one order is never looked through for another, whatever the
      -- planner takes to be little (see states.ts in libs/jobs). The plain words stay where the version before looks for them.
      DROP INDEX jobs_one_unfinished, jobs_of_user, jobs_in_line, jobs_age, jobs_leased;
      CREATE UNIQUE INDEX jobs_one_unfinished ON jobs (chat_id) WHERE finished_at IS NULL;
      CREATE INDEX jobs_of_user ON jobs (user_id, round) WHERE (status || ' user') IN ('queued user', 'running user');
      CREATE INDEX jobs_in_line ON jobs (round, id) WHERE (status || ' line') = 'queued line';
      CREATE INDEX jobs_age ON jobs ((coalesce(requeued_at, created_at))) WHERE (status || ' age') = 'queued age';
      -- Without the lease: an update that changes no column of any index, be it in a condition, writes to none ("heap-only"), and each
      -- heartbeat moves it. As many jobs run as workers have slots: they are looked through.
      CREATE INDEX jobs_running ON jobs (id) WHERE status = 'running';
      -- Said otherwise than in statements about one call: each end of a turn looked through all that run.
      DROP INDEX model_calls_running;
      CREATE INDEX model_calls_running ON model_calls (started_at) WHERE ended_at IS NULL;

      CREATE OR REPLACE FUNCTION next_place(of_user text, most integer, OUT round integer, OUT unfinished integer)
      LANGUAGE plpgsql VOLATILE AS $$
      DECLARE
        head integer;
        mine integer;
      BEGIN
        SELECT count(*) INTO unfinished FROM (
          SELECT FROM jobs j WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user') LIMIT most
        ) j;
        SELECT j.round INTO mine FROM jobs j
         WHERE j.user_id = of_user AND (j.status || ' user') IN ('queued user', 'running user') ORDER BY j.round DESC LIMIT 1;
        SELECT j.round INTO head FROM jobs j WHERE (j.status || ' line') = 'queued line' ORDER BY j.round, j.id LIMIT 1;
        -- Null is passed over.
        round := greatest(head, mine + 1, 0);
      END $$;
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
