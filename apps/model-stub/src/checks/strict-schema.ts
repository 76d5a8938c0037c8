import { invalid } from '../http.js';
import { isObject } from '../is-object.js';

type Schema = Readonly<Record<string, unknown>>;

/** Keywords that the API cannot guarantee, by the type of value that they bound. */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  number: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  integer: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  string: ['maxLength', 'minLength'],
  array: ['maxItems', 'uniqueItems'],
};

/** What has no grammar at all. */
const UNKNOWN = ['oneOf', 'not', 'if', 'patternProperties', 'prefixItems'];
const FORMATS: readonly unknown[] = 'date-time time date duration email hostname uri ipv4 ipv6 uuid'.split(' ');

const MOST_OPTIONAL = 24;
const MOST_UNIONS = 16;

/** Deeper schemas are not looked at. */
const DEEPEST = 50;

interface Counts {
  optional: number;
  unions: number;
}

/** Checks the schema of a tool with `strict`: the API guarantees such inputs, and can do so for some schemas only. @throws Refusal */
export function checkStrictSchema(schema: unknown, at: string): void {
  visit(schema, at, { optional: 0, unions: 0 }, 0);
}

/** Checks a schema of the output, from which the API makes a grammar. @throws Refusal */
export function checkGrammar(schema: Schema, at: string): void {
  const counts = { optional: 0, unions: 0 };
  checkCircles(schema, at);
  visit(schema, at, counts, 0);
  if (counts.optional > MOST_OPTIONAL) {
    throw invalid(
      `Schemas contains too many optional parameters (${counts.optional}), which would make grammar compilation inefficient. ` +
        `Reduce the number of optional parameters in your tool schemas (limit: ${MOST_OPTIONAL}).`,
    );
  }
  if (counts.unions > MOST_UNIONS) {
    throw invalid(
      `Schemas contains too many parameters with union types (${counts.unions} parameters with type arrays or anyOf). This causes ` +
        `exponential compilation cost. Reduce the number of nullable or union-typed parameters (limit: ${MOST_UNIONS} parameters with unions).`,
    );
  }
}

function visit(schema: unknown, at: string, counts: Counts, depth: number): void {
  if (!isObject(schema) || depth > DEEPEST) return;
  const types = [schema['type']].flat().map(String);
  for (const type of types) checkType(schema, type, at);
  const unknown = UNKNOWN.find((name) => name in schema);
  if (unknown !== undefined) throw invalid(`${at}: Schema type '${unknown}' is not supported`);
  if (types.length > 1 || 'anyOf' in schema) counts.unions += 1;
  const { items, properties, required, $defs, definitions, anyOf, allOf } = schema;
  if (isObject(properties)) {
    const demanded = Array.isArray(required) ? (required as unknown[]) : [];
    counts.optional += Object.keys(properties).filter((name) => !demanded.includes(name)).length;
  }
  const named = [properties, $defs, definitions].flatMap((one) => (isObject(one) ? Object.values(one) : []));
  const listed = [anyOf, allOf].flatMap((one) => (Array.isArray(one) ? (one as unknown[]) : []));
  for (const inner of [items, ...named, ...listed]) visit(inner, at, counts, depth + 1);
}

function checkType(schema: Schema, type: string, at: string): void {
  const { format, minItems } = schema;
  if (type === 'object' && schema['additionalProperties'] !== false) {
    throw invalid(`${at}: For 'object' type, 'additionalProperties' must be explicitly set to false`);
  }
  const found = (UNSUPPORTED[type] ?? []).filter((name) => name in schema);
  if (found.length > 0) {
    const properties = found.length === 1 ? `property '${found[0]}' is` : `properties ${found.join(', ')} are`;
    throw invalid(`${at}: For '${type}' type, ${properties} not supported`);
  }
  if (type === 'array' && minItems !== undefined && minItems !== 0 && minItems !== 1) {
    throw invalid(`${at}: For 'array' type, 'minItems' values other than 0 or 1 are not supported`);
  }
  if (type === 'string' && format !== undefined && !FORMATS.includes(format)) {
    throw invalid(`${at}: String format ${JSON.stringify(format)} is not supported`);
  }
}

/** @throws Refusal if a definition refers to itself, directly or by others */
function checkCircles(root: Schema, at: string): void {
  const definitions = { ...asObject(root['definitions']), ...asObject(root['$defs']) };
  const names = new Map(Object.entries(definitions).map(([name, schema]) => [name, namesIn(schema)]));
  const circle = (name: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    for (const next of names.get(name) ?? []) {
      const found = circle(next, [...path, name]);
      if (found !== undefined) return found;
    }
    names.set(name, []);
    return undefined;
  };
  const found = JSON.stringify(root).includes('"$ref":"#"')
    ? ['root', 'root']
    : [...names.keys()].map((name) => circle(name, [])).find(Boolean);
  if (found === undefined) return;
  throw invalid(
    `${at}: Circular reference detected in schema definitions: ${found.join(' -> ')}. Self-referencing or mutually-referencing ` +
      'definitions are not supported.',
  );
}

/** The names of the definitions that a schema refers to. */
function namesIn(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(namesIn);
  if (!isObject(schema)) return [];
  const name = /^#\/(?:\$defs|definitions)\/(.+)$/u.exec(String(schema['$ref']))?.[1];
  return [...(name === undefined ? [] : [name]), ...Object.values(schema).flatMap(namesIn)];
}

function asObject(value: unknown): Schema {
  return isObject(value) ? value : {};
}
