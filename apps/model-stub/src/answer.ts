import { briefReply, standInReply } from './answers/reply.js';
import { inPieces } from './answers/pieces.js';
import { summaryOf } from './answers/summary.js';
import { type Block, scriptedBlocks, textBlock } from './blocks.js';
import { withinBudget } from './budget.js';
import type { Checked } from './checks/request.js';
import { formatted } from './formatted.js';
import { isObject } from './is-object.js';
import type { MessagesRequest } from './messages-request.js';
import type { Effort } from './models/model.js';
import type { ScriptBlock } from './script-blocks.js';
import type { Script } from './scripts.js';
import type { Plan } from './plan.js';
import { stoppedAt } from './stops.js';
import { Signer } from './thinking.js';
import { thinks } from './thinks.js';
import { exampleTool } from './tools/offered.js';
import { toolMove } from './tools/tool-move.js';

/** The text of a plan. */
export type AnswerPlan = Pick<Plan, 'blocks' | 'pieceDelayMs' | 'stopReason' | 'stopSequence' | 'stopDetails'>;

/** How long the stand-in thinks by default: in tokens, and also in milliseconds if its pieces have a delay. */
const THOUGHT_TOKENS: Record<Effort, number> = { low: 8, medium: 16, high: 32, xhigh: 64, max: 128 };
const THOUGHT_MS = 150;
const THOUGHT = 'The user asks something. I am a stand-in, so I say so, and what a real model would do here.';

/** Words that make the stand-in think at length, if it thinks, and how it does. */
const AT_LENGTH = /\bthink about it\b/iu;
const LONG_THOUGHT = [
  'The user wants me to think about it. So I take my time, and do not answer with the first thing that comes to mind.',
  'What is asked? I read the message again, word by word. A model would now recall what it knows about the subject, and set aside what does not matter.',
  'There may be several answers. I compare two of them: the short one is easy to read, the long one leaves fewer questions open.',
  'Is there something that I overlook? I check the instructions once more, and what was said before in this chat.',
  'I am a stand-in, so in the end I say so. That takes one sentence, and I am sure of it.',
].join('\n\n');

/**
 * Plans the text: the script's whole text, or the stand-in's own within `max_tokens`. A script without text gets one line and no thoughts,
 * so that the answer takes as long as the test expects.
 */
export function answerTo(request: MessagesRequest, checked: Checked, script: Script, usualDelayMs: number): AnswerPlan {
  const stopDetails = script.stop_details === undefined ? null : { type: 'refusal', ...script.stop_details };
  const signer = new Signer(checked.model.id, request, checked.turns);
  const asScripted = scripted(script, signer);
  if (asScripted !== undefined) {
    const { blocks, sequence } = stoppedAt(asScripted, request.stop_sequences);
    const calls = blocks.some(({ type }) => type === 'tool_use');
    const usual = sequence !== null ? 'stop_sequence' : calls ? 'tool_use' : 'end_turn';
    return {
      blocks,
      pieceDelayMs: script.piece_delay_ms ?? 0,
      stopReason: script.stop_reason ?? usual,
      stopSequence: sequence,
      stopDetails,
    };
  }
  const isScripted = Object.keys(script).length > 0;
  const own = isScripted
    ? brief(request, signer)
    : unscripted(request, checked, signer, usualDelayMs > 0 ? THOUGHT_MS : 0);
  const { blocks: stopped, sequence } = stoppedAt(own.blocks, request.stop_sequences);
  const { blocks: kept, whole } = withinBudget(stopped, request.max_tokens);
  const usual = sequence === null ? own.stopReason : 'stop_sequence';
  return {
    blocks: kept,
    pieceDelayMs: script.piece_delay_ms ?? usualDelayMs,
    stopReason: script.stop_reason ?? (whole ? usual : 'max_tokens'),
    stopSequence: whole ? sequence : null,
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

/** The tool calls that the user's words ask the stand-in for, or the line that it answers instead. */
function brief(request: MessagesRequest, signer: Signer): { blocks: Block[]; stopReason: string } {
  const move = toolMove(request) ?? textMove(summaryOf(request.lastUserText) ?? briefReply(request.lastUserText));
  const { blocks, stopReason } = formatted(move, request.output_config);
  return { blocks: scriptedBlocks(blocks, signer), stopReason };
}

function textMove(text: string): { blocks: ScriptBlock[]; stopReason: string } {
  return { blocks: [{ type: 'text', text }], stopReason: 'end_turn' };
}

/** A thought, if the model thinks, and calls of tools or a text. All count towards `max_tokens`: a thought may leave nothing for the text. */
function unscripted(
  request: MessagesRequest,
  checked: Checked,
  signer: Signer,
  silentMs: number,
): { blocks: Block[]; stopReason: string } {
  const { lastUserText, tools } = request;
  const text = (): string => summaryOf(lastUserText) ?? standInReply(lastUserText, exampleTool(tools));
  const move = formatted(toolMove(request) ?? textMove(text()), request.output_config);
  const [first] = move.blocks;
  // The result of a call before a pause comes at once.
  const resumes = first?.type.endsWith('_tool_result') === true;
  const thought = first === undefined || resumes ? [] : thoughtBefore(request, checked, silentMs);
  return { blocks: scriptedBlocks([...thought, ...move.blocks], signer), stopReason: move.stopReason };
}

function thoughtBefore(request: MessagesRequest, { model, turns }: Checked, silentMs: number): ScriptBlock[] {
  const { thinking, output_config: config, tool_choice: choice, lastUserText } = request;
  const goesOn = turns.at(-1)?.blocks.some(({ block }) => block.type === 'tool_result') === true;
  // Models do not think when they are forced to call a tool.
  const forced = isObject(choice) && (choice['type'] === 'any' || choice['type'] === 'tool');
  if (forced || !thinks(thinking, model, goesOn)) return [];
  const asked = isObject(config) ? (config['effort'] as Effort | null | undefined) : undefined;
  const display = isObject(thinking) && thinking['display'] === 'summarized' ? 'summarized' : 'omitted';
  const isLong = AT_LENGTH.test(lastUserText);
  return [
    {
      type: 'thinking',
      thinking: isLong ? LONG_THOUGHT : THOUGHT,
      display,
      tokens: THOUGHT_TOKENS[asked ?? model.usualEffort] * (isLong ? 10 : 1),
      // Visible thoughts take their time piece by piece.
      silent_ms: display === 'summarized' ? 0 : silentMs * (isLong ? 10 : 1),
      ping_every_ms: 0,
    },
  ];
}
