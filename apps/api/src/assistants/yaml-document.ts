import {
  type Document,
  type ErrorCode,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml';
import type { Path } from './faults.js';

/** A fault of YAML itself, with its line (from 1 on) if that is known. */
export interface YamlFault {
  readonly line: number | undefined;
  readonly words: string;
}

/** The parsed YAML document, with the line of each value. */
export interface YamlDocument {
  /** Plain values; undefined if there are faults. */
  readonly value: unknown;
  readonly faults: readonly YamlFault[];
  /** The line of a value, or of the mapping or list that lacks it. */
  lineOf(path: Path): number | undefined;
}

/** The library's own messages may quote the text, which may be a system prompt. */
const WORDS: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: 'An alias must have no anchor and no tag.',
  BAD_ALIAS: 'An alias is not well formed, or names no anchor before it.',
  BAD_COLLECTION_TYPE: 'A tag does not fit its value.',
  BAD_DIRECTIVE: 'A directive (a line that begins with %) is not known.',
  BAD_DQ_ESCAPE: 'A text in double quotes has an escape (\\) that is not known.',
  BAD_INDENT: 'The indentation is wrong.',
  BAD_PROP_ORDER: 'An anchor or a tag stands at the wrong place.',
  BAD_SCALAR_START: 'A text begins with a character that needs quotes around the text.',
  BLOCK_AS_IMPLICIT_KEY: 'A mapping begins within another value; put quotes around a text that has ": " in it.',
  BLOCK_IN_FLOW: 'A list or mapping over several lines stands within [] or {}.',
  DUPLICATE_KEY: 'A key occurs twice in one mapping.',
  IMPOSSIBLE: 'This is not YAML.',
  KEY_OVER_1024_CHARS: 'A key is too long.',
  MISSING_CHAR: 'A character is missing: a colon, a quote, a comma, a bracket or a space.',
  MULTILINE_IMPLICIT_KEY: 'A key takes more than one line; is a colon or the indentation missing?',
  MULTIPLE_ANCHORS: 'A value has more than one anchor.',
  MULTIPLE_DOCS: 'There is more than one document: --- or ... begins another.',
  MULTIPLE_TAGS: 'A value has more than one tag.',
  NON_STRING_KEY: 'A key is no text.',
  RESOURCE_EXHAUSTION: 'The lists and mappings are too deep.',
  TAB_AS_INDENT: 'A tab stands where only spaces may indent.',
  TAG_RESOLVE_FAILED: 'A tag (!) is not known, or does not fit its value; put quotes around a text that begins with !.',
  UNEXPECTED_TOKEN: 'Something stands here that does not belong here.',
};

/** Reads a text in YAML. It never throws. */
export function readYaml(text: string): YamlDocument {
  const lines = new LineCounter();
  const lineAt = (offset: number | undefined): number | undefined =>
    offset === undefined ? undefined : lines.linePos(offset).line;
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const faults = [...document.errors, ...document.warnings].map(({ code, pos }): YamlFault => ({
    line: lineAt(pos[0]),
    words: WORDS[code],
  }));
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) === undefined)
        faults.push({ line: lineAt(alias.range?.[0]), words: WORDS.BAD_ALIAS });
    },
  });
  const lineOf = (path: Path): number | undefined => lineAt(offsetOf(document, path));
  if (faults.length > 0) return { value: undefined, faults, lineOf };
  try {
    return { value: document.toJS(), faults, lineOf };
  } catch {
    // All other faults are known by now.
    return { value: undefined, faults: [{ line: undefined, words: 'Aliases repeat too much.' }], lineOf };
  }
}

/** Where the last known step of a path begins: a key, or an entry of a list. */
function offsetOf(document: Document.Parsed, path: Path): number | undefined {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0];
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
      if (pair === undefined) return offset;
      offset = (pair.key as { range?: readonly number[] } | null)?.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = (node as { range?: readonly number[] } | null | undefined)?.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}
