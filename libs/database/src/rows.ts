/** The row of a statement that always gives one. @throws Error if it gave none, which is a bug */
export function oneRow<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error('A statement that always gives a row gave none.');
  return row;
}
