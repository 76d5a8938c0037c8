import type { EntityManager } from 'typeorm';

/** Values by name. A value that a text does not name is not sent. */
export type Values = Readonly<Record<string, unknown>>;

/** A name in a text: `:userId`. The second colon of a cast (`::text`) and a class of characters (`[:space:]`) begin none. */
const NAME = /(?<![:\w[]):([a-zA-Z]\w*)/g;

/**
 * A statement whose values have names (`:jobId`) in place of numbers (`$1`). Parts of a text that stand in different files can so share a
 * value without knowing its number. The text is read once, when the module is loaded.
 */
export class Statement {
  /** The text as PostgreSQL gets it. */
  readonly text: string;
  private readonly names: readonly string[];
  /** TypeORM returns the rows of these commands together with their number. */
  private readonly counts: boolean;

  constructor(named: string) {
    const names: string[] = [];
    this.text = named.replaceAll(NAME, (_, name: string) => {
      if (!names.includes(name)) names.push(name);
      return `$${names.indexOf(name) + 1}`;
    });
    this.names = names;
    this.counts = /^\s*(UPDATE|DELETE)\b/i.test(named);
  }

  /** Runs it. @returns its rows @throws Error when a value is missing, which is a bug */
  async rows<Row = unknown>(manager: EntityManager, values: Values = {}): Promise<Row[]> {
    const result = await manager.query<unknown>(this.text, this.list(values));
    return this.counts ? (result as [Row[], number])[0] : (result as Row[]);
  }

  /** Runs an `UPDATE` or a `DELETE`. @returns how many rows it changed */
  async affected(manager: EntityManager, values: Values = {}): Promise<number> {
    if (!this.counts) throw new Error('Only the number of rows of an UPDATE or a DELETE is known.');
    const [, count] = await manager.query<[unknown[], number]>(this.text, this.list(values));
    return count;
  }

  private list(values: Values): unknown[] {
    return this.names.map((name) => {
      const value = values[name];
      if (value === undefined) throw new Error(`The statement has no value for :${name}.`);
      return value;
    });
  }
}

/** Makes a {@link Statement}. */
export function statement(named: string): Statement {
  return new Statement(named);
}
