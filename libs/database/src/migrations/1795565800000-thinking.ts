import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How an assistant's model thinks, and with how much effort. Null is the model's default. So an older service, which knows neither column,
 * can run beside this migration.
 *
 * The migration locks `assistants` for a moment. The table has one row for each assistant.
 */
export class Thinking1795565800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE assistants
        ADD COLUMN thinking text CHECK (thinking IN ('adaptive', 'between_tools', 'disabled')),
        ADD COLUMN effort text CHECK (effort IN ('low', 'medium', 'high', 'xhigh', 'max'))`);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
