import type { JsonSchema } from '#tools/json-schema.js';

/** Names of properties that the Messages API accepts at the top of an input. */
const PROPERTY = /^[a-zA-Z0-9_.-]{1,64}$/;
const TOGETHER = ['anyOf', 'oneOf', 'allOf'];

/** Longest words of the compiler of schemas. */
const LONGEST_WORDS = 200;

/**
 * Why the model's API would refuse a tool with this schema of its input; it would refuse every request of the assistant.
 * @returns words that end a sentence: `must have …`; undefined: nothing is wrong
 */
export function inputSchemaFault(schema: JsonSchema): string | undefined {
  const { type, properties } = schema;
  if (type !== 'object') return 'must have `type: object`';
  const together = TOGETHER.find((keyword) => schema[keyword] !== undefined);
  if (together !== undefined) return `must have no ${together} at the top: the model’s API does not take it`;
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  if (!names.every((name) => PROPERTY.test(name))) {
    return 'must have properties with names of 1 to 64 letters (a-z), digits, dots, dashes and underscores';
  }
  return undefined;
}

/**
 * Why a schema cannot be used at all. It loads the compiler of schemas, which a process without tools does not need.
 * @returns words that end a sentence; undefined: nothing is wrong
 */
export async function compilerFault(schema: JsonSchema): Promise<string | undefined> {
  const { schemaFault } = await import('#tools/json-schema.js');
  const fault = schemaFault(schema);
  if (fault === undefined) return undefined;
  const words = fault.replace(/\s+/g, ' ').replace(/\.$/, '');
  return `is no JSON Schema that can be used: ${words.length > LONGEST_WORDS ? `${words.slice(0, LONGEST_WORDS)}…` : words}`;
}
