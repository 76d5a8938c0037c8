import { isObject } from '../is-object.js';

/** An object in a text: its value (undefined: it is no JSON), and where it ends. */
export interface Found {
  readonly value: Record<string, unknown> | undefined;
  readonly end: number;
}

/** Reads the JSON object that begins at `start` with a brace, up to the brace that closes it or to the end of the text. */
export function objectAt(text: string, start: number): Found {
  const end = endOfObject(text, start);
  try {
    const value: unknown = JSON.parse(text.slice(start, end));
    return { value: isObject(value) ? value : undefined, end };
  } catch {
    return { value: undefined, end };
  }
}

function endOfObject(text: string, start: number): number {
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === '\\') at += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{') depth += 1;
    else if (character === '}' && --depth === 0) return at + 1;
  }
  return text.length;
}
