import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The trace context in which a turn was accepted (W3C Trace Context, `traceparent`). It is in the database because it must outlive the
 * queue.
 */
export class Traces1795565200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE jobs ADD COLUMN traceparent text`);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
