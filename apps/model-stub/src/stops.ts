import { type Block, textBlock } from './blocks.js';

/** An answer up to the first stop sequence of the request. */
interface Stopped {
  readonly blocks: readonly Block[];
  /** The sequence that ended it; null: none is in its text. */
  readonly sequence: string | null;
}

/** Ends an answer where its text first has one of the request's stop sequences, which is left out. */
export function stoppedAt(blocks: readonly Block[], stops: unknown): Stopped {
  const sequences = Array.isArray(stops) ? (stops as unknown[]).filter((stop) => typeof stop === 'string') : [];
  for (const [n, block] of blocks.entries()) {
    if (block.type !== 'text') continue;
    const text = block.pieces.join('');
    const found = sequences
      .map((sequence) => ({ sequence, at: text.indexOf(sequence) }))
      .filter(({ at }) => at >= 0)
      .sort((one, other) => one.at - other.at)[0];
    if (found === undefined) continue;
    return { blocks: [...blocks.slice(0, n), textBlock(firstOf(block.pieces, found.at))], sequence: found.sequence };
  }
  return { blocks, sequence: null };
}

/** The first characters of a text in pieces. */
function firstOf(pieces: readonly string[], length: number): string[] {
  let left = length;
  return pieces
    .map((piece) => {
      const part = piece.slice(0, Math.max(0, left));
      left -= piece.length;
      return part;
    })
    .filter((piece) => piece !== '');
}
