import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The key that turns user ids into the tags in the log. The database is the only thing that API and worker share without a setting, and a
 * reader of the key could read the user ids beside it anyway.
 */
export class Deployment1795565150000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // 244 random bits of the system, from PostgreSQL's own function, so no extension is needed.
    await runner.query(`
      CREATE TABLE deployment (
        is_this boolean PRIMARY KEY DEFAULT true CHECK (is_this),
        log_key bytea NOT NULL
      );
      INSERT INTO deployment (log_key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
