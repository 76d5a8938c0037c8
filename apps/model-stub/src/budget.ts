import { type Block, OVERHEAD_TOKENS, textBlock, tokensBesideText } from './blocks.js';
import { inPieces } from './answers/pieces.js';
import { tokensOf, withinTokens } from './tokens.js';

/** The beginning of an answer, in this number of tokens. `whole`: nothing is missing. */
export interface WithinBudget {
  readonly blocks: readonly Block[];
  readonly whole: boolean;
}

/** The blocks that `max_tokens` leaves room for. The last may be cut off: a text, or a call in the middle of its JSON. */
export function withinBudget(blocks: readonly Block[], most: number): WithinBudget {
  const kept: Block[] = [];
  let left = most;
  for (const block of blocks) {
    if (left <= 0) return { blocks: kept, whole: false };
    if (block.type === 'text') {
      const text = block.pieces.join('');
      const part = withinTokens(text, left);
      kept.push(part === text ? block : { ...textBlock(inPieces(part)) });
      if (part !== text) return { blocks: kept, whole: false };
      left -= tokensOf(text);
      continue;
    }
    const tokens = tokensBesideText(block);
    if (tokens > left) {
      const cut = cutOff(block, left);
      return { blocks: cut === undefined ? kept : [...kept, cut], whole: false };
    }
    kept.push(block);
    left -= tokens;
  }
  return { blocks: kept, whole: true };
}

function cutOff(block: Block, tokens: number): Block | undefined {
  if (block.type === 'thinking') return { ...block, tokens };
  if (block.type !== 'tool_use' || tokens <= OVERHEAD_TOKENS) return undefined;
  const json = withinTokens(block.fragments.join(''), tokens - OVERHEAD_TOKENS);
  return { ...block, input: {}, fragments: ['', ...inPieces(json)] };
}
