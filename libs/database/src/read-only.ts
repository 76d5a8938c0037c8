import { StartFault } from '#errors/start-fault.js';

/** The SQLSTATE of a statement that would write, on a server that only reads. */
export const READ_ONLY_STATE = '25006';

const ONLY_READS = `SELECT current_setting('transaction_read_only') AS "readOnly"`;

/** Thrown when the server only reads: a standby, or a server that its operator has shut for writing. */
export class ReadOnlyServerError extends StartFault {
  constructor() {
    super(
      'The database of DATABASE_URL only reads. It is a standby, or default_transaction_read_only is on in its configuration.',
    );
  }
}

/** A session of TypeORM or of pg: each returns rows in its own way. */
interface Asked {
  query(statement: string): Promise<unknown>;
}

/** Whether a session's server only reads. A session of ours never writes past a server that is shut. */
export async function onlyReads(session: Asked): Promise<boolean> {
  const answer = await session.query(ONLY_READS);
  const rows = (Array.isArray(answer) ? answer : (answer as { rows: unknown[] }).rows) as { readOnly: string }[];
  return rows[0]?.readOnly === 'on';
}
