/** Largest value, in bytes of JSON, and its deepest level. Servers' schemas have the same bounds. */
const LARGEST = 64 * 1024;
const DEEPEST = 32;

/**
 * Why a value of the file cannot be stored as it is: YAML knows values that JSON does not, and aliases can make circles.
 * @returns words that end a sentence; undefined: nothing is wrong
 */
export function jsonFault(value: unknown): string | undefined {
  const fault = faultWithin(value, DEEPEST);
  if (fault !== undefined) return fault;
  return Buffer.byteLength(JSON.stringify(value)) > LARGEST ? `must have at most ${LARGEST} bytes of JSON` : undefined;
}

function faultWithin(value: unknown, levels: number): string | undefined {
  if (value === null || typeof value === 'boolean') return undefined;
  if (typeof value === 'string') return textFault(value);
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'must have only finite numbers';
  if (typeof value !== 'object') return 'must have only values of JSON';
  if (levels === 0) return `must have at most ${DEEPEST} levels`;
  if (Array.isArray(value)) return first(value, (inner) => faultWithin(inner, levels - 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return 'must have only values of JSON';
  return first(Object.entries(value), ([key, inner]) => textFault(key) ?? faultWithin(inner, levels - 1));
}

function first<T>(values: readonly T[], fault: (value: T) => string | undefined): string | undefined {
  for (const value of values) {
    const found = fault(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** PostgreSQL stores neither NUL nor half a surrogate pair. */
function textFault(text: string): string | undefined {
  return text.includes('\0') || !text.isWellFormed() ? 'must have no NUL and no lone surrogates' : undefined;
}
