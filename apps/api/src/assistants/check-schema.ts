import type { JsonSchema } from '#tools/json-schema.js';
import type { Checking } from './checking.js';
import { type Fields, isMapping } from './fields.js';
import { jsonFault } from './json-fault.js';

/**
 * Checks a field that is a JSON Schema. The compiler of schemas checks it later, with all others.
 * @param further the words for what else is wrong with it, if anything is
 */
export function checkSchema(
  fields: Fields,
  name: string,
  { schemas }: Checking,
  further: (schema: JsonSchema) => string | undefined = () => undefined,
): JsonSchema {
  const schema = fields.values[name];
  if (!isMapping(schema)) {
    fields.fault(name, 'must be a JSON Schema: a mapping');
    return {};
  }
  const fault = jsonFault(schema) ?? further(schema);
  if (fault !== undefined) fields.fault(name, fault);
  else schemas.push({ path: [...fields.path, name], schema });
  return schema;
}
