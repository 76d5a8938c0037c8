import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Finds the jobs that have waited too long without looking at all that wait. */
export class JobsAge1795565000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX jobs_age ON jobs (created_at) WHERE status = 'queued'`);
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
