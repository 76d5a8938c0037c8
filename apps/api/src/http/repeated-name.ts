/** A string, or what opens and closes around strings. No character of a string is read twice, however long it is. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;

/**
 * The first name that an object of a JSON text has twice, whatever escapes it is written with; undefined when there is none. Of such
 * two `JSON.parse` keeps the last and others the first (RFC 8259, section 4), so who checks a request on its way may have seen
 * another than we do. RFC 7493, section 2.3, forbids them.
 *
 * @param json a text that `JSON.parse` takes
 */
export function repeatedName(json: string): string | undefined {
  /** The names of each object that we are in; undefined: an array. */
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
