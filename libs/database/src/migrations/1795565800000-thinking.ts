import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How an assistant's model thinks, and with how much effort. Null leaves either to the model, which is what an older service that
 * runs beside this migration does: it names neither column.
 *
 * Locks `assistants` for a moment; it has a row for each assistant.
 */
export class Thinking1795565800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE assistants
        ADD COLUMN thinking text CHECK (thinking IN ('adaptive', 'between_tools', 'disabled')),
        ADD COLUMN effort text CHECK (effort IN ('low', 'medium', 'high', 'xhigh', 'max'))`);
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
