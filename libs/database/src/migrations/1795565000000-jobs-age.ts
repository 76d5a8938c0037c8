import type { MigrationInterface, QueryRunner } from 'typeorm';

/** An index that finds the jobs that have waited too long, so that no statement reads all waiting jobs. */
export class JobsAge1795565000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX jobs_age ON jobs (created_at) WHERE status = 'queued'`);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
