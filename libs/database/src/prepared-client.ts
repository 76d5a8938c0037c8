import pg from 'pg';

/** Most statements that a process prepares. Statement texts must be a fixed set: texts with lists of variable length would use this up. */
const MOST_STATEMENTS = 500;

/** Names by text, for all connections of the process. */
const names = new Map<string, string>();

function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MOST_STATEMENTS) return known;
  const name = `r${names.size}`;
  names.set(text, name);
  return name;
}

/**
 * A client whose statements are prepared (PostgreSQL's extended query protocol), each once for a connection: after that only its values
 * travel, and neither is its text read nor, as a rule, its plan made again. Of what PostgreSQL does for a short statement that is most.
 *
 * What has no values is sent as it is: `BEGIN`, and statements of migrations, which may be several.
 */
class PreparingClient extends pg.Client {
  constructor(options?: pg.ClientConfig) {
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

/** pg as the driver for TypeORM, with clients that prepare. */
export const preparingPg = {
  ...pg,
  Pool: class extends pg.Pool {
    constructor(options?: pg.PoolConfig) {
      super({ ...options, Client: PreparingClient });
    }
  },
};
