import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The key under which users are written to the log. It is in the database because API and worker have nothing else in common that
 * nobody has to set, and because whoever can read it here can read the users' ids beside it.
 */
export class Deployment1795565150000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // 244 random bits of the system's, from PostgreSQL's own function: no extension is needed.
    await runner.query(`
      CREATE TABLE deployment (
        is_this boolean PRIMARY KEY DEFAULT true CHECK (is_this),
        log_key bytea NOT NULL
      );
      INSERT INTO deployment (log_key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
    `);
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
