import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { ROOT } from '#process/root.js';
import { startOwnPostgres } from '../support/own-postgres.js';
import { dumpSchema } from './dump.js';
import { SCHEMA_FILE } from './file.js';

/* `npm run dev -- schema`: migrates an empty database and writes its schema down. */

const postgres = await startOwnPostgres();
try {
  const client = new pg.Client(postgres.url);
  await client.connect();
  await writeFile(join(ROOT, SCHEMA_FILE), await dumpSchema(client));
  await client.end();
  console.log(`${SCHEMA_FILE} is written.`);
} finally {
  await postgres.stop();
}
