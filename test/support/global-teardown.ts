import type { EmbeddedPostgres } from '../../tools/embedded-postgres.js';

/** Stops what the set-up started and removes its data. */
export default async function tearDown(): Promise<void> {
  await (globalThis as { postgres?: EmbeddedPostgres }).postgres?.stop();
}
