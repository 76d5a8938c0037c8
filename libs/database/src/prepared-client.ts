import { createHash } from 'node:crypto';
import pg from 'pg';
import { SessionClient, type SessionOptions } from './session-client.js';
import { attendPool } from './sessions.js';

/** Most statements that a process prepares. Statement texts must be a fixed set: texts with lists of variable length would use this up. */
const MOST_STATEMENTS = 500;

/** Names by text, for all connections of the process. */
const names = new Map<string, string>();

/** Letters of a name: 128 bits of its text's hash. */
const NAME_LENGTH = 22;

/** A name comes from its text, so it means the same statement in every process: a pooler may pass a session on to another process. */
function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MOST_STATEMENTS) return known;
  const name = `r_${createHash('sha256').update(text).digest('base64url').slice(0, NAME_LENGTH)}`;
  names.set(text, name);
  return name;
}

/**
 * A client that prepares each statement once for a connection (PostgreSQL's extended query protocol). After that only the values travel:
 * PostgreSQL does not read the text again and, as a rule, makes no new plan. For a short statement, that is most of PostgreSQL's work.
 *
 * A text without values is sent as it is: `BEGIN`, and texts of migrations, which may hold several statements.
 */
class PreparingClient extends SessionClient {
  constructor(options?: SessionOptions) {
    super(options);
    const send = this.query.bind(this) as (...args: unknown[]) => unknown;
    const prepared = (...args: unknown[]): unknown => {
      const [text, values, ...rest] = args;
      const name = typeof text === 'string' && Array.isArray(values) && values.length > 0 ? nameOf(text) : undefined;
      return name === undefined ? send(...args) : send({ name, text, values }, ...rest);
    };
    this.query = prepared as typeof this.query;
  }
}

/** pg as the driver for TypeORM. Its clients prepare statements, and its pools leave their sessions after a switchover. */
export const preparingPg = {
  ...pg,
  Pool: class extends pg.Pool {
    constructor(options?: SessionOptions<pg.PoolConfig>) {
      super({ ...options, Client: PreparingClient });
      attendPool(this);
    }
  },
};
