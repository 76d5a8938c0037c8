import { invalid } from '../http.js';
import { isObject } from '../is-object.js';

const KEY = /^[a-zA-Z0-9_.-]{1,64}$/u;
const TYPES: readonly unknown[] = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
/** Deeper schemas are not looked at. */
const DEEPEST = 50;

/** The keywords that hold one schema, a list of schemas, or schemas by name. */
const ONE = ['items', 'additionalProperties', 'not', 'if', 'then', 'else', 'contains', 'propertyNames'];
const MANY = ['anyOf', 'oneOf', 'allOf', 'prefixItems'];
const NAMED = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'];

/** Checks the schema of a tool's input: it must be a JSON schema of an object. @throws Refusal */
export function checkInputSchema(schema: unknown, at: string): void {
  if (schema === undefined) throw invalid(`${at}: Field required`);
  if (!isObject(schema)) throw invalid(`${at}: Input should be a valid dictionary`);
  if (schema['type'] === undefined) throw invalid(`${at}.type: Field required`);
  if (schema['type'] !== 'object') throw invalid(`${at}.type: Input should be 'object'`);
  if (['anyOf', 'oneOf', 'allOf'].some((name) => name in schema)) {
    throw invalid(`${at}: input_schema does not support oneOf, allOf, or anyOf at the top level`);
  }
  if (!isSchema(schema, 0)) {
    throw invalid(
      `${at}: JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). ` +
        'Learn more about tool use at https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview.',
    );
  }
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  if (!Object.keys(properties).every((name) => KEY.test(name))) {
    throw invalid(`${at}.properties: Property keys should match pattern '${KEY.source}'`);
  }
}

/** Whether the keywords that are checked here have values of the right kind. */
function isSchema(schema: unknown, depth: number): boolean {
  if (typeof schema === 'boolean' || depth > DEEPEST) return true;
  if (!isObject(schema)) return false;
  const { type, required, enum: values } = schema;
  const inside = (one: unknown): boolean => isSchema(one, depth + 1);
  const has = (name: string): boolean => schema[name] !== undefined;
  const types = [type].flat();
  return (
    (type === undefined || (types.length > 0 && types.every((one) => TYPES.includes(one)))) &&
    (required === undefined || isListOfNames(required)) &&
    (values === undefined || Array.isArray(values)) &&
    ONE.filter(has).every((name) => inside(schema[name])) &&
    MANY.filter(has).every((name) => isListOf(schema[name], inside)) &&
    NAMED.filter(has).every((name) => {
      const named = schema[name];
      return isObject(named) && Object.values(named).every(inside);
    })
  );
}

function isListOf(list: unknown, holds: (one: unknown) => boolean): boolean {
  return Array.isArray(list) && list.length > 0 && list.every(holds);
}

function isListOfNames(list: unknown): boolean {
  return Array.isArray(list) && list.every((name) => typeof name === 'string') && new Set(list).size === list.length;
}
