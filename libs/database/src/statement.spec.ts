import { describe, expect, it } from '@jest/globals';
import type { EntityManager } from 'typeorm';
import { statement } from './statement.js';

describe('a statement with named values', () => {
  const sent: unknown[] = [];
  const manager = (result: unknown): EntityManager =>
    ({ query: (...args: unknown[]) => (sent.push(args), Promise.resolve(result)) }) as unknown as EntityManager;

  it('numbers each name once, in the order of the text, and leaves casts and texts alone', () => {
    const { text } = statement(
      `SELECT :b::text, ':'||x, :a FROM t WHERE c = :b AND d = '10:30'::interval AND e ~ '[^[:space:]]'`,
    );
    expect(text).toBe(
      `SELECT $1::text, ':'||x, $2 FROM t WHERE c = $1 AND d = '10:30'::interval AND e ~ '[^[:space:]]'`,
    );
  });

  it('sends the values that its text names, and no others', async () => {
    await statement('SELECT :b, :a').rows(manager([]), { a: 1, b: null, c: 3 });
    expect(sent.at(-1)).toEqual(['SELECT $1, $2', [null, 1]]);
  });

  it('takes each value from the first object that has one, be it null', async () => {
    await statement('SELECT :a, :b, :c').rows(manager([]), { a: 1, b: undefined }, { a: 2, b: null }, { b: 3, c: 4 });
    expect(sent.at(-1)).toEqual(['SELECT $1, $2, $3', [1, null, 4]]);
    await expect(statement('SELECT :a').rows(manager([]), { a: undefined }, {})).rejects.toThrow('no value for :a');
  });

  it('refuses to run without a value', async () => {
    await expect(statement('SELECT :a').rows(manager([]), { b: 1 })).rejects.toThrow('no value for :a');
    await expect(statement('SELECT :a').rows(manager([]), { a: undefined })).rejects.toThrow('no value for :a');
  });

  it('gives rows and their number for commands that change rows', async () => {
    const changed = [[{ id: 1 }], 1];
    expect(await statement('DELETE FROM t RETURNING id').rows(manager(changed))).toEqual([{ id: 1 }]);
    expect(await statement('WITH u AS (SELECT 1) UPDATE t SET a = 1').affected(manager(changed))).toBe(1);
    await expect(statement('SELECT 1').affected(manager([]))).rejects.toThrow();
  });
});
