import { type Block, scriptedBlocks, textBlock } from './blocks.js';
import type { MessagesRequest } from './messages-request.js';
import { inPieces, standInReply } from './reply.js';
import type { Script } from './scripts.js';
import type { Plan } from './stream.js';
import { withinTokens } from './tokens.js';

/** The part of a plan that is said. */
export type Said = Pick<Plan, 'blocks' | 'pieceDelayMs' | 'stopReason' | 'stopDetails'>;

/** The words to say: those of the script, whole, or a reply of the stand-in's own within `max_tokens`. */
export function answerTo(request: MessagesRequest, script: Script, usualDelayMs: number): Said {
  const stopDetails = script.stop_details === undefined ? null : { type: 'refusal', ...script.stop_details };
  const blocks = scripted(script, request.model);
  if (blocks !== undefined) {
    const calls = blocks.at(-1)?.type === 'tool_use';
    return {
      blocks,
      pieceDelayMs: script.piece_delay_ms ?? 0,
      stopReason: script.stop_reason ?? (calls ? 'tool_use' : 'end_turn'),
      stopDetails,
    };
  }
  const all = standInReply(request.lastUserText);
  const text = withinTokens(all, request.max_tokens);
  return {
    blocks: [textBlock(inPieces(text))],
    pieceDelayMs: script.piece_delay_ms ?? usualDelayMs,
    stopReason: script.stop_reason ?? (text === all ? 'end_turn' : 'max_tokens'),
    stopDetails,
  };
}

/** The script's own words, if it has any. */
function scripted(script: Script, model: string): Block[] | undefined {
  if (script.blocks !== undefined) return scriptedBlocks(script.blocks, model);
  if (script.empty_content) return [textBlock([])];
  const once = script.pieces ?? (script.text && inPieces(script.text));
  if (!once) return undefined;
  return [textBlock(Array.from({ length: script.repeat ?? 1 }, () => once).flat())];
}
