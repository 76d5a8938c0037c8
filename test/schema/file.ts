/** The file of the written schema, relative to the repository's root. */
export const SCHEMA_FILE = 'libs/database/schema.sql';
