/** A string, a bracket or a colon. The expression reads each character of a string once, so a long string costs linear time. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;

/**
 * The first name that an object of a JSON text has twice, also if escapes make the two look different; undefined when there is none.
 * `JSON.parse` keeps the last of two values, other parsers the first (RFC 8259, section 4). So a gateway that checks a request may have
 * seen another value than this service. RFC 7493, section 2.3, forbids repeated names.
 *
 * @param json a text that `JSON.parse` takes
 */
export function repeatedName(json: string): string | undefined {
  /** The names of each open object; undefined stands for an array. */
  const objects: (Set<string> | undefined)[] = [];
  let text = '';
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === '{') objects.push(new Set());
    else if (token === '[') objects.push(undefined);
    else if (token === '}' || token === ']') objects.pop();
    else if (token !== ':') text = token;
    else {
      const name = text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
      const names = objects.at(-1);
      if (names?.has(name) === true) return name;
      names?.add(name);
    }
  }
  return undefined;
}
