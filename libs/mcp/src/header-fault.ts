/** The keyword of a schema by which a server wants a part of the input in a header, too. */
const KEYWORD = 'x-mcp-header';

/** A header's name (RFC 9110, section 5.1). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const TYPES = new Set<unknown>(['string', 'integer', 'boolean']);

/**
 * Why the headers that a tool's schema wants are not allowed; undefined: they are, or there are none. A client must not use a tool with
 * wrong ones: they are for plain values whose place in the input is known, with a name each.
 *
 * @param schema at most as deep as {@link depthOf} was asked to allow
 */
export function headerFault(schema: object): string | undefined {
  const names = new Set<string>();
  const visit = (node: unknown, reachable: boolean): string | undefined => {
    if (typeof node !== 'object' || node === null) return undefined;
    for (const [key, value] of Object.entries(node)) {
      if (key === KEYWORD) {
        const fault = reachable ? faultOfHeader(node, value, names) : 'it is not at a property';
        if (fault !== undefined) return fault;
      } else if (key === 'properties' && typeof value === 'object' && value !== null) {
        // Names of properties are no keywords.
        const direct = reachable || node === schema;
        for (const property of Object.values(value as object)) {
          const fault = visit(property, direct);
          if (fault !== undefined) return fault;
        }
      } else if (!DATA.has(key)) {
        const fault = visit(value, false);
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  };
  return visit(schema, false);
}

/** Keywords whose values are data of any shape. */
const DATA = new Set(['const', 'enum', 'default', 'examples']);

function faultOfHeader(property: object, name: unknown, names: Set<string>): string | undefined {
  if (typeof name !== 'string' || !TOKEN.test(name)) return 'its name is not one of a header';
  if (!TYPES.has((property as { type?: unknown }).type))
    return 'its property is neither text nor an integer nor a boolean';
  if (names.has(name.toLowerCase())) return 'its name occurs twice';
  names.add(name.toLowerCase());
  return undefined;
}
