import type { JsonSchema } from '#tools/json-schema.js';
import { checkSchema } from './check-schema.js';
import type { Checking } from './checking.js';
import type { Path } from './faults.js';
import { type Fields, isMapping, listed } from './fields.js';

/*
 * The API holds a model to a schema by a grammar, and makes one for some schemas only:
 * https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations". With any other schema it would refuse
 * every turn, so the file is refused.
 */

/** Keywords that have no grammar. */
const UNSUPPORTED = new Set(
  (
    'minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems contains minContains maxContains ' +
    'prefixItems minProperties maxProperties patternProperties propertyNames dependentSchemas dependentRequired unevaluatedProperties ' +
    'unevaluatedItems oneOf not if then else $dynamicRef'
  ).split(' '),
);

const FORMATS = ['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid'];

/** A schema says with one of these which values it has. */
const KINDS = ['type', 'enum', 'const', 'anyOf', 'allOf', '$ref'];

const MOST_OPTIONAL = 24;
const MOST_UNIONS = 16;

/** Checks the schema of an assistant's replies. */
export function checkOutputSchema(fields: Fields, checking: Checking): JsonSchema {
  return checkSchema(fields, 'output_schema', checking, (schema) => {
    const walk = new Walk(fields, schema);
    walk.visit(schema, [...fields.path, 'output_schema']);
    return walk.counts();
  });
}

/** Visits each part of a schema, which is a tree: aliases that make circles were refused before. */
class Walk {
  private optional = 0;
  private unions = 0;
  /** References that lead to no circle. */
  private readonly straight = new Set<string>();

  constructor(
    private readonly fields: Fields,
    private readonly root: JsonSchema,
  ) {}

  /** The fault of the whole schema, in words; undefined: none. */
  counts(): string | undefined {
    if (this.optional > MOST_OPTIONAL) {
      return `has ${this.optional} properties that are not in \`required\`, and at most ${MOST_OPTIONAL} may be`;
    }
    if (this.unions <= MOST_UNIONS) return undefined;
    return `has ${this.unions} parts with \`anyOf\` or several types, and at most ${MOST_UNIONS} may be`;
  }

  visit(schema: unknown, path: Path): void {
    const fault = (words: string, ...at: Path): void => this.fields.faults.add([...path, ...at], words);
    if (!isMapping(schema)) return fault('must be a mapping');
    for (const name of Object.keys(schema)) {
      if (UNSUPPORTED.has(name)) fault('cannot be used: no model can be held to it', name);
    }
    if (!KINDS.some((name) => name in schema)) fault(`must have ${listed(KINDS)}`);
    const types = [schema['type']].flat();
    if (types.length > 1 || 'anyOf' in schema) this.unions += 1;
    if (types.includes('object') || 'properties' in schema) this.visitObject(schema, path);
    const { enum: values, format, minItems, $ref: ref, allOf } = schema;
    if (Array.isArray(values) && values.some((value) => typeof value === 'object' && value !== null)) {
      fault('must have only texts, numbers, true, false and null', 'enum');
    }
    if (format !== undefined && !FORMATS.includes(format as string)) fault(`must be ${listed(FORMATS)}`, 'format');
    if (minItems !== undefined && minItems !== 0 && minItems !== 1) fault('must be 0 or 1', 'minItems');
    if (ref !== undefined) this.checkRef(ref, [...path, '$ref']);
    if (Array.isArray(allOf) && allOf.some((part) => isMapping(part) && '$ref' in part)) {
      fault('must have no `$ref` in its parts', 'allOf');
    }
    if ('items' in schema) this.visit(schema['items'], [...path, 'items']);
    for (const name of ['anyOf', 'allOf']) this.visitEach(schema[name], [...path, name]);
    for (const name of ['properties', '$defs', 'definitions']) this.visitEach(schema[name], [...path, name]);
  }

  private visitObject(schema: JsonSchema, path: Path): void {
    if (schema['additionalProperties'] !== false) {
      this.fields.faults.add(path, 'must have `additionalProperties: false`');
    }
    const required = Array.isArray(schema['required']) ? schema['required'] : [];
    const names = isMapping(schema['properties']) ? Object.keys(schema['properties']) : [];
    this.optional += names.filter((name) => !required.includes(name)).length;
  }

  /** Visits the schemas in a list, or in a mapping by name. The compiler of schemas refuses any other value. */
  private visitEach(schemas: unknown, path: Path): void {
    if (Array.isArray(schemas)) schemas.forEach((schema, n) => this.visit(schema, [...path, n]));
    else if (isMapping(schemas))
      for (const [name, schema] of Object.entries(schemas)) this.visit(schema, [...path, name]);
  }

  private checkRef(ref: unknown, path: Path): void {
    if (typeof ref !== 'string' || !ref.startsWith('#')) {
      this.fields.faults.add(path, 'must begin with `#`: the schema must have all its parts');
    } else if (this.leadsBack(ref, new Set())) {
      this.fields.faults.add(path, 'leads back to itself: a schema must not be recursive');
    }
  }

  /** Whether the schema that a reference names has, at any depth, a reference that was followed already. */
  private leadsBack(ref: string, followed: ReadonlySet<string>): boolean {
    if (followed.has(ref)) return true;
    if (this.straight.has(ref)) return false;
    const deeper = new Set([...followed, ref]);
    const back = refsIn(targetOf(ref, this.root)).some((next) => this.leadsBack(next, deeper));
    if (!back) this.straight.add(ref);
    return back;
  }
}

/** All references in a schema. */
function refsIn(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(refsIn);
  if (!isMapping(schema)) return [];
  const { $ref: ref } = schema;
  return [...(typeof ref === 'string' ? [ref] : []), ...Object.values(schema).flatMap(refsIn)];
}

/** The part of the schema that a JSON pointer names; undefined: there is none, which the compiler of schemas reports. */
function targetOf(ref: string, root: JsonSchema): unknown {
  let target: unknown = root;
  for (const key of ref.split('/').slice(1)) {
    target =
      isMapping(target) || Array.isArray(target) ? (target as Record<string, unknown>)[unescaped(key)] : undefined;
  }
  return target;
}

function unescaped(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~');
}
