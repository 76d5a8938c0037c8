import { invalid } from '../http.js';
import type { PlacedBlock, Turn } from '../turns.js';

/** Checks that each call of a tool has its result in the next turn, and each result its call. @throws Refusal */
export function checkToolPairs(turns: readonly Turn[], tools: unknown): void {
  checkIds(turns);
  turns.forEach((turn, n) => {
    checkClientTools(turn, turns[n - 1], turns[n + 1]);
    if (turn.role === 'assistant') checkServerTools(turn, n === turns.length - 1);
  });
  if (Array.isArray(tools) && tools.length > 0) return;
  if (turns.some((turn) => [...ofType(turn, 'tool_use'), ...ofType(turn, 'tool_result')].length > 0)) {
    throw invalid('Requests which include `tool_use` or `tool_result` blocks must define tools.');
  }
}

/** Each call is in a message of the assistant, and has an id of its own. */
function checkIds(turns: readonly Turn[]): void {
  const seen = new Set<unknown>();
  for (const turn of turns) {
    const misplaced = turn.role === 'user' ? ['tool_use', 'server_tool_use'] : ['tool_result'];
    const [wrong] = misplaced.flatMap((type) => ofType(turn, type));
    if (wrong !== undefined) {
      const { block, message, place } = wrong;
      const role = turn.role === 'user' ? 'assistant' : 'user';
      throw invalid(
        `messages.${message}.content.${place}: \`${block.type}\` blocks can only be in \`${role}\` messages`,
      );
    }
    for (const { block, message, place } of ofType(turn, 'tool_use')) {
      if (seen.has(block['id'])) {
        throw invalid(`messages.${message}.content.${place}: \`tool_use\` ids must be unique`);
      }
      seen.add(block['id']);
    }
  }
}

function checkClientTools(turn: Turn, before: Turn | undefined, after: Turn | undefined): void {
  if (turn.role === 'assistant') {
    const uses = ofType(turn, 'tool_use');
    const answered = new Set(after && leadingResults(after).map(({ block }) => block['tool_use_id']));
    const open = uses.filter(({ block }) => !answered.has(block['id']));
    if (open[0] === undefined) return;
    const ids = open.map(({ block }) => String(block['id'])).join(', ');
    throw invalid(
      `messages.${open[0].message}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${ids}. ` +
        'Each `tool_use` block must have a corresponding `tool_result` block in the next message.',
    );
  }
  const called = new Set(before && ofType(before, 'tool_use').map(({ block }) => block['id']));
  const answered = new Set<unknown>();
  for (const { block, message, place } of ofType(turn, 'tool_result')) {
    const id = block['tool_use_id'];
    const at = `messages.${message}.content.${place}`;
    if (!called.has(id)) {
      throw invalid(
        `${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${String(id)}. ` +
          'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.',
      );
    }
    if (answered.has(id)) {
      throw invalid(
        `${at}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${String(id)}`,
      );
    }
    answered.add(id);
  }
}

/** The results at the beginning of a turn. The API does not see results behind other blocks. */
function leadingResults({ blocks }: Turn): readonly PlacedBlock[] {
  const other = blocks.findIndex(({ block }) => block.type !== 'tool_result');
  return other < 0 ? blocks : blocks.slice(0, other);
}

/** The results of the API's own tools are in the same turn as their calls. A paused turn may lack some. */
function checkServerTools(turn: Turn, last: boolean): void {
  const called = new Map<unknown, PlacedBlock>();
  for (const placed of turn.blocks) {
    const { type, id, tool_use_id: of } = placed.block;
    if (type === 'server_tool_use') called.set(id, placed);
    else if (type.endsWith('_tool_result') && !called.delete(of)) {
      throw invalid(
        `messages.${placed.message}.content.${placed.place}: unexpected \`tool_use_id\` found in \`${type}\` blocks: ` +
          `${String(of)}. Each \`${type}\` block must have a corresponding \`server_tool_use\` block before it.`,
      );
    }
  }
  const [open] = called.values();
  if (open === undefined || last) return;
  const name = String(open.block['name']);
  throw invalid(
    `messages.${open.message}: \`${name}\` tool use with id \`${String(open.block['id'])}\` was found without a ` +
      `corresponding \`${name}_tool_result\` block`,
  );
}

function ofType(turn: Turn, type: string): PlacedBlock[] {
  return turn.blocks.filter(({ block }) => block.type === type);
}
