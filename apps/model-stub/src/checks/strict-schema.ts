import { invalid } from '../http.js';
import { isObject } from '../is-object.js';

/** Keywords that the API cannot guarantee, by the type of value that they bound. */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  number: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  integer: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  string: ['maxLength', 'minLength'],
  array: ['maxItems', 'uniqueItems'],
};

/** Deeper schemas are not looked at. */
const DEEPEST = 50;

/** Checks the schema of a tool with `strict`: the API guarantees such inputs, and can do so for some schemas only. @throws Refusal */
export function checkStrictSchema(schema: unknown, at: string, depth = 0): void {
  if (!isObject(schema) || depth > DEEPEST) return;
  for (const type of [schema['type']].flat().map(String)) {
    if (type === 'object' && schema['additionalProperties'] !== false) {
      throw invalid(`${at}: For 'object' type, 'additionalProperties' must be explicitly set to false`);
    }
    const found = (UNSUPPORTED[type] ?? []).filter((name) => name in schema);
    if (found.length > 0) throw invalid(`${at}: For '${type}' type, properties ${found.join(', ')} are not supported`);
  }
  const { items, properties, $defs, anyOf, allOf } = schema;
  const named = [properties, $defs].flatMap((one) => (isObject(one) ? Object.values(one) : []));
  const listed = [anyOf, allOf].flatMap((one) => (Array.isArray(one) ? (one as unknown[]) : []));
  for (const inner of [items, ...named, ...listed]) checkStrictSchema(inner, at, depth + 1);
}
