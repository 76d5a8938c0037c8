import { isThought, lacksThoughts, signatureOf } from '../call-ids.js';
import { invalid } from '../http.js';
import { isObject } from '../is-object.js';
import type { Model } from '../models/model.js';
import { thinks } from '../thinks.js';
import type { PlacedBlock, Turn } from '../turns.js';

/**
 * Checks that the calls of the turn that goes on still have the thoughts that came before them. Finished turns may lack theirs, and all may
 * while the model does not think. @throws Refusal
 */
export function checkKeptThoughts(thinking: unknown, model: Model, turns: readonly Turn[]): void {
  if (!thinks(thinking, model, true)) return;
  const began = turns.findLastIndex(({ role, blocks }) => role === 'user' && !blocks.some(isResult));
  const last = turns.length - 1;
  turns.forEach(({ role, blocks }, n) => {
    if (n <= began || role !== 'assistant') return;
    const [first] = blocks;
    // Models that think when told to always think first; those that decide for themselves may call without a thought.
    const mustThink = n === last - 1 && isObject(thinking) && thinking['type'] === 'enabled';
    if (mustThink && first !== undefined && !isThought(first.block)) throw expected(first);
    const thoughts: string[] = [];
    for (const placed of blocks) {
      const { block } = placed;
      if (isThought(block)) thoughts.push(signatureOf(block));
      if (block.type !== 'tool_use' || !lacksThoughts(block['id'], thoughts)) continue;
      if (thoughts.length === 0 && first !== undefined) throw expected(first);
      throw invalid(
        `messages.${placed.message}.content.${placed.place}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant ` +
          'message cannot be modified. These blocks must remain as they were in the original response.',
      );
    }
  });
}

function isResult({ block }: PlacedBlock): boolean {
  return block.type === 'tool_result';
}

function expected({ block, message, place }: PlacedBlock): Error {
  return invalid(
    `messages.${message}.content.${place}.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${block.type}\`. ` +
      'When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of ' +
      '`tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, ' +
      'disable `thinking`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking',
  );
}
