import { isObject } from '../is-object.js';

type Schema = Readonly<Record<string, unknown>>;

/** Deeper schemas get empty values: they may contain themselves. */
const DEEPEST = 8;

const BY_FORMAT: Readonly<Record<string, string>> = {
  date: '2026-12-01',
  'date-time': '2026-12-01T12:00:00Z',
  time: '12:00:00Z',
  duration: 'P1D',
  email: 'ada@example.com',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000001',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  hostname: 'example.com',
};

/** Formats that the names of properties suggest. */
const BY_NAME: readonly (readonly [RegExp, string])[] = [
  [/e-?mail/iu, 'email'],
  [/(?:date|day)$/iu, 'date'],
  [/(?:_at|time)$/iu, 'date-time'],
  [/url$|uri$/iu, 'uri'],
];

/** An input for a tool: its required properties, with values that suit their schemas. The same schema gets the same input. */
export function madeUpInput(schema: Schema): Record<string, unknown> {
  return objectFor(schema, schema, 0);
}

/** A value that suits the schema. The same schema gets the same value. */
export function madeUpValue(schema: Schema): unknown {
  return valueFor(schema, '', schema, 0);
}

/** An input that does not suit the schema: its first property has a value of another type. */
export function wrongInput(schema: Schema): Record<string, unknown> {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const name = requiredOf(schema)[0] ?? Object.keys(properties)[0];
  if (name === undefined) return { unexpected: true };
  const property = properties[name];
  const isText = isObject(property) && [property['type']].flat().includes('string');
  return { ...madeUpInput(schema), [name]: isText ? 42 : 'not what the schema asks for' };
}

function objectFor(schema: Schema, root: Schema, depth: number): Record<string, unknown> {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  return Object.fromEntries(
    requiredOf(schema).map((name) => [name, valueFor(properties[name], name, root, depth + 1)] as const),
  );
}

function requiredOf(schema: Schema): string[] {
  const { required } = schema;
  return Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
}

function valueFor(given: unknown, name: string, root: Schema, depth: number): unknown {
  const schema = resolved(given, root);
  const { enum: values, default: usual, examples, anyOf, oneOf, allOf } = schema;
  if ('const' in schema) return schema['const'];
  for (const list of [values, examples]) if (Array.isArray(list) && list.length > 0) return list[0] as unknown;
  if (usual !== undefined) return usual;
  for (const choice of [anyOf, oneOf, allOf]) {
    if (Array.isArray(choice) && choice.length > 0 && depth < DEEPEST) {
      return valueFor(choice[0], name, root, depth + 1);
    }
  }
  const [type] = [schema['type'] ?? (isObject(schema['properties']) ? 'object' : 'string')]
    .flat()
    .filter((one) => one !== 'null');
  switch (type) {
    case 'integer':
    case 'number':
      return numberFor(schema);
    case 'boolean':
      return true;
    case 'array':
      return depth < DEEPEST ? listFor(schema, name, root, depth) : [];
    case 'object':
      return depth < DEEPEST ? objectFor(schema, root, depth) : {};
    case undefined:
      return null;
    default:
      return textFor(schema, name);
  }
}

/** The schema itself, or the one in the same document that it refers to. */
function resolved(given: unknown, root: Schema): Schema {
  const schema = isObject(given) ? given : {};
  const path = /^#\/(.+)$/u.exec(String(schema['$ref']))?.[1];
  if (path === undefined) return schema;
  let target: unknown = root;
  for (const key of path.split('/')) target = isObject(target) ? target[key] : undefined;
  return isObject(target) ? target : {};
}

function numberFor({ minimum, exclusiveMinimum, maximum, multipleOf }: Schema): number {
  const step = typeof multipleOf === 'number' && multipleOf > 0 ? multipleOf : 1;
  const least = typeof minimum === 'number' ? minimum : typeof exclusiveMinimum === 'number' ? exclusiveMinimum + 1 : 1;
  const value = Math.ceil(least / step) * step;
  return typeof maximum === 'number' && value > maximum ? maximum : value;
}

function listFor(schema: Schema, name: string, root: Schema, depth: number): unknown[] {
  const least = typeof schema['minItems'] === 'number' ? schema['minItems'] : 1;
  const length = Math.min(Math.max(least, 1), 20);
  return Array.from({ length }, () => valueFor(schema['items'], name, root, depth + 1));
}

function textFor({ format, minLength, maxLength }: Schema, name: string): string {
  const named = BY_NAME.find(([pattern]) => pattern.test(name))?.[1];
  const text = BY_FORMAT[typeof format === 'string' ? format : (named ?? '')] ?? 'example';
  const most = typeof maxLength === 'number' ? maxLength : text.length;
  const least = typeof minLength === 'number' ? Math.min(minLength, 1_000) : 0;
  return text.slice(0, Math.max(most, least)).padEnd(least, 'x');
}
