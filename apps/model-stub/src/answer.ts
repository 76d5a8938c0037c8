import { briefReply, standInReply } from './answers/reply.js';
import { inPieces } from './answers/pieces.js';
import { type Block, scriptedBlocks, textBlock } from './blocks.js';
import type { Checked } from './checks/request.js';
import { isObject } from './is-object.js';
import type { MessagesRequest } from './messages-request.js';
import type { Effort, Model } from './models/model.js';
import type { Script } from './scripts.js';
import type { Plan } from './plan.js';
import { Signer } from './thinking.js';
import { thinks } from './thinks.js';
import { withinTokens } from './tokens.js';

/** The text of a plan. */
export type AnswerPlan = Pick<Plan, 'blocks' | 'pieceDelayMs' | 'stopReason' | 'stopDetails'>;

/** How long the stand-in thinks by default: in tokens, and also in milliseconds if its pieces have a delay. */
const THOUGHT_TOKENS: Record<Effort, number> = { low: 8, medium: 16, high: 32, xhigh: 64, max: 128 };
const THOUGHT_MS = 150;
const THOUGHT = 'The user asks something. I am a stand-in, so I say so, and what a real model would do here.';

/**
 * Plans the text: the script's whole text, or the stand-in's own within `max_tokens`. A script without text gets one line and no thoughts,
 * so that the answer takes as long as the test expects.
 */
export function answerTo(request: MessagesRequest, checked: Checked, script: Script, usualDelayMs: number): AnswerPlan {
  const stopDetails = script.stop_details === undefined ? null : { type: 'refusal', ...script.stop_details };
  const signer = new Signer(checked.model.id, request, checked.turns);
  const blocks = scripted(script, signer);
  if (blocks !== undefined) {
    const calls = blocks.some(({ type }) => type === 'tool_use');
    return {
      blocks,
      pieceDelayMs: script.piece_delay_ms ?? 0,
      stopReason: script.stop_reason ?? (calls ? 'tool_use' : 'end_turn'),
      stopDetails,
    };
  }
  const isScripted = Object.keys(script).length > 0;
  const own = isScripted
    ? within(briefReply(request.lastUserText), request.max_tokens)
    : unscripted(request, checked.model, signer, usualDelayMs > 0 ? THOUGHT_MS : 0);
  return {
    blocks: own.blocks,
    pieceDelayMs: script.piece_delay_ms ?? usualDelayMs,
    stopReason: script.stop_reason ?? (own.whole ? 'end_turn' : 'max_tokens'),
    stopDetails,
  };
}

/** The script's own text, if it has any. */
function scripted(script: Script, signer: Signer): Block[] | undefined {
  if (script.blocks !== undefined) return scriptedBlocks(script.blocks, signer);
  if (script.empty_content) return [textBlock([])];
  const once = script.pieces ?? (script.text && inPieces(script.text));
  if (!once) return undefined;
  return [textBlock(Array.from({ length: script.repeat ?? 1 }, () => once).flat())];
}

/** A thought, if the model thinks, and a text. Both count towards `max_tokens`: a thought may leave nothing for the text. */
function unscripted(
  { lastUserText, max_tokens: most, thinking, output_config: config }: MessagesRequest,
  model: Model,
  signer: Signer,
  silentMs: number,
): { blocks: Block[]; whole: boolean } {
  const blocks: Block[] = [];
  let left = most;
  if (left > 0 && thinks(thinking, model, false)) {
    const effort =
      (isObject(config) ? (config['effort'] as Effort | null | undefined) : undefined) ?? model.usualEffort;
    const tokens = Math.min(left, THOUGHT_TOKENS[effort]);
    const display = isObject(thinking) && thinking['display'] === 'summarized' ? 'summarized' : 'omitted';
    const signature = signer.sign(display === 'summarized' ? THOUGHT : '');
    blocks.push({
      type: 'thinking',
      thinking: THOUGHT,
      display,
      signature,
      tokens,
      silentMs,
      pingEveryMs: 0,
      cut: false,
    });
    left -= tokens;
  }
  const text = within(standInReply(lastUserText), left);
  return { ...text, blocks: [...blocks, ...text.blocks] };
}

/** The beginning of a text, in this number of tokens, as a block; no block if no token is left. */
function within(all: string, tokens: number): { blocks: Block[]; whole: boolean } {
  const text = withinTokens(all, tokens);
  return { blocks: tokens > 0 ? [textBlock(inPieces(text))] : [], whole: text === all };
}
