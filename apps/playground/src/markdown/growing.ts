import { type Block, blocksOf, type References } from './parser';
import { certain } from './certain';

/** How many blocks are drawn together, so that a frame does not look at each of thousands. */
const GROUP = 32;

/** How many blocks may still change: the last one may turn out to belong to the one before. */
const OPEN_BLOCKS = 2;

/**
 * An unfinished text as blocks. Each piece parses only the last two blocks again. Those before keep their identity, so they are not drawn
 * again.
 */
export class GrowingMarkdown {
  private text = '';
  /** How much of the text is parsed for good, and into how many blocks. */
  private settled = 0;
  private count = 0;
  private references: References = {};
  private all: readonly Block[][] = [];

  /** The blocks in groups. All groups but the last one or two stay as they are. */
  get groups(): readonly (readonly Block[])[] {
    return this.all;
  }

  /** @returns the groups of the longer text. A text that does not continue the last one begins anew */
  update(text: string): readonly (readonly Block[])[] {
    if (!text.startsWith(this.text)) this.begin();
    this.text = text;
    const rest = certain(text.slice(this.settled));
    const blocks = blocksOf(rest, { ...this.references }, true);
    const first = blocks.at(-OPEN_BLOCKS);
    if (first === undefined || blocks.length <= OPEN_BLOCKS) {
      this.put(blocks);
      return this.all;
    }
    const end = offsetOf(rest, first.line);
    const done = blocksOf(rest.slice(0, end), this.references);
    this.put([...done, ...blocks.slice(-OPEN_BLOCKS)]);
    this.settled += end;
    this.count += done.length;
    return this.all;
  }

  private begin(): void {
    this.settled = this.count = 0;
    this.references = {};
    this.all = [];
  }

  /** Puts blocks after the settled ones. */
  private put(blocks: readonly Block[]): void {
    const whole = Math.floor(this.count / GROUP);
    const rest = [...(this.all[whole]?.slice(0, this.count % GROUP) ?? []), ...blocks];
    const groups = this.all.slice(0, whole);
    for (let n = 0; n < rest.length; n += GROUP) groups.push(rest.slice(n, n + GROUP));
    this.all = groups;
  }
}

/** Where a line begins, counted from 0. Line ends are those of the parser. */
function offsetOf(text: string, line: number): number {
  const ends = /\r\n?|\n/g;
  for (let n = 0; n < line; n++) if (ends.exec(text) === null) return text.length;
  return ends.lastIndex;
}
