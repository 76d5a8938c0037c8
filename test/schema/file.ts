/** Where the schema is written down, from the repository's root. */
export const SCHEMA_FILE = 'libs/database/schema.sql';
