import MarkdownIt, { type Env, type Token } from 'markdown-it';
import { closeUnfinished } from './unfinished';

/** How deep lists and quotes may be nested. The parser drops what is deeper. */
const DEEPEST = 60;

/**
 * CommonMark with tables, ~~strikethrough~~ and bare addresses as links. Tags are text, and a line break is one. A line of dashes below
 * words is a rule, not a heading: models mean it so, and words would become a heading while somebody reads them.
 */
const parser = new MarkdownIt({ html: false, breaks: true, linkify: true, maxNesting: DEEPEST })
  .disable('lheading')
  .use(closeUnfinished);
// `example.com` and `readme.md` stay words.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

/** A top-level element, such as a paragraph, a list or a table, with its tokens. */
export interface Block {
  readonly tokens: readonly Token[];
  /** The line at which it begins, counted from 0. */
  readonly line: number;
}

/** The addresses behind names, as `[name]: address` lines give them. */
export type References = NonNullable<Env['references']>;

/** The blocks of a text. `references` are those known so far; the text's own are added. `isUnfinished`: more text is to come. */
export function blocksOf(text: string, references: References = {}, isUnfinished = false): Block[] {
  const tokens = parser.parse(text, { references, isUnfinished });
  if (tokens.some(({ level }) => level >= DEEPEST - 1)) return [{ tokens: asText(text), line: 0 }];
  const blocks: { tokens: Token[]; line: number }[] = [];
  for (const token of tokens) {
    if (token.level === 0 && token.nesting >= 0) blocks.push({ tokens: [], line: token.map?.[0] ?? 0 });
    blocks.at(-1)?.tokens.push(token);
  }
  return blocks;
}

/** One paragraph with the whole text as it is. */
function asText(text: string): Token[] {
  const [open, inline, close] = parser.parse('x', {});
  const [word] = inline?.children ?? [];
  if (open === undefined || inline === undefined || close === undefined || word === undefined) return [];
  word.content = text;
  return [open, inline, close];
}
