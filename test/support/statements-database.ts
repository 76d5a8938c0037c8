import { DataSource } from 'typeorm';
import { dataSourceOptions } from '#database/data-source.js';
import { freshDatabase } from './database.js';

/** A database with the assistant `a`, for tests of single statements. */
export interface StatementsDatabase {
  readonly source: DataSource;
  stop(): Promise<void>;
}

/** Makes one, with at most `poolSize` connections. */
export async function startStatementsDatabase(poolSize: number): Promise<StatementsDatabase> {
  const database = await freshDatabase();
  const source = await new DataSource(
    dataSourceOptions({ url: database.url, poolSize, applicationName: 'test' }),
  ).initialize();
  await source.query(
    `INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens)
     VALUES ('a', 'A', 'D', 'P', 'W', 'm', 100)`,
  );
  return {
    source,
    stop: async () => {
      await source.destroy();
      await database.drop();
    },
  };
}
