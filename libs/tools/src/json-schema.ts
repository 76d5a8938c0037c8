import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

/** A JSON Schema (2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Checks a value. @returns what is wrong with it and where, in a sentence; undefined: it matches */
export type Check = (value: unknown) => string | undefined;

/** Unknown keywords and formats are allowed, as the standard has it. */
const OPTIONS = { strict: false, validateFormats: false, logger: false } as const;

/** Checks schemas by the schema of schemas, which takes long to compile: so once for all. */
const schemas = new Ajv2020(OPTIONS);

/**
 * Each schema has a compiler of its own: compilers keep what they have compiled, and two schemas may have the same `$id`. A schema that
 * names another draft as `$schema`, as those of many MCP servers do, is read as this draft, as the model reads it.
 */
function compile({ $schema: _, ...schema }: JsonSchema): ValidateFunction {
  if (schemas.validateSchema(schema) !== true) throw new Error(`schema is invalid: ${schemas.errorsText()}`);
  return new Ajv2020({ ...OPTIONS, validateSchema: false }).compile(schema);
}

/** Whether a text is a JSON Schema that can be used. @returns what is wrong with it; undefined: nothing */
export function schemaFault(schema: JsonSchema): string | undefined {
  try {
    compile(schema);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const compiled = new WeakMap<JsonSchema, ValidateFunction>();

/** A check by this schema. It is compiled once for each object. @throws Error if the schema cannot be used */
export function checkBy(schema: JsonSchema): Check {
  const validate = compiled.get(schema) ?? compile(schema);
  compiled.set(schema, validate);
  return (value) => {
    if (validate(value)) return undefined;
    const [first] = validate.errors ?? [];
    if (first === undefined) return 'It does not match the schema.';
    const { additionalProperty, allowedValues } = first.params as Record<string, unknown>;
    const named = typeof additionalProperty === 'string' ? `: ${additionalProperty}` : '';
    const values = Array.isArray(allowedValues)
      ? `: ${allowedValues.map((each) => JSON.stringify(each)).join(', ')}`
      : '';
    return `${first.instancePath === '' ? 'The value' : first.instancePath} ${first.message ?? 'is wrong'}${named}${values}.`;
  };
}
