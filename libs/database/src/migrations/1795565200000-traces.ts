import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The place in its trace from which a turn was accepted, as it must outlive the queue (W3C Trace Context, `traceparent`). */
export class Traces1795565200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE jobs ADD COLUMN traceparent text`);
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
