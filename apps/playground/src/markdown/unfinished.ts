import type { Env, MarkdownIt, StateCore, StateInline, Token } from 'markdown-it';

/** The `env` of a parse of unfinished text. */
interface UnfinishedEnv extends Env {
  readonly isUnfinished?: boolean;
  /** The tokens of the line that is being written. */
  last?: Token[];
}

/**
 * Closes emphasis and code that are open at the end of unfinished text. So the reader sees bold words from the first letter on, and no
 * asterisks that vanish later.
 */
export function closeUnfinished(markdown: MarkdownIt): void {
  markdown.core.ruler.before('inline', 'last-line', markLastLine);
  markdown.inline.ruler.before('backticks', 'open-code', openCode);
  markdown.inline.ruler2.after('balance_pairs', 'open-emphasis', closeEmphasis);
}

function markLastLine({ tokens, env }: StateCore): void {
  const unfinished = env as UnfinishedEnv;
  if (unfinished.isUnfinished !== true) return;
  // A short row ends with empty cells.
  for (let n = tokens.length - 1; n >= 0; n--) {
    const token = tokens[n];
    if (token === undefined || (token.type !== 'inline' && token.nesting === 0)) return;
    if (token.type !== 'inline' || token.content === '') continue;
    unfinished.last = token.children ?? [];
    return;
  }
}

const isLast = (state: StateInline): boolean => (state.env as UnfinishedEnv).last === state.tokens;

/** Code without its last backquotes goes on to the end. */
function openCode(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  if (src[pos] !== '`' || !isLast(state)) return false;
  const [marker = ''] = /^`+/.exec(src.slice(pos, posMax)) ?? [];
  const from = pos + marker.length;
  if (new RegExp(`[^\`]${marker}(?!\`)`).test(src.slice(from - 1, posMax).replace(/^`/, ' '))) return false;
  const content = src
    .slice(from, posMax)
    .replace(/^ |(?<!`)`+$/g, '')
    .replaceAll('\n', ' ');
  if (!silent && content !== '') state.push('code_inline', 'code', 0).content = content;
  state.pos = posMax;
  return true;
}

/** Closes the open markers, the last one first. Within a word, markers stay characters. */
function closeEmphasis(state: StateInline): void {
  if (!isLast(state)) return;
  const { delimiters } = state;
  for (const opener of delimiters.filter(({ open, close, end }) => open && !close && end < 0).reverse()) {
    const token = state.push('text', '', 0);
    token.content = state.tokens[opener.token]?.content ?? '';
    opener.end = delimiters.length;
    delimiters.push({ ...opener, token: state.tokens.length - 1, end: -1, open: false, close: true });
  }
}
