import type { SeenCall } from './model-stub.js';

/** The first words of the instructions of a call that makes a summary, and the last ones of its prompt. */
const SUMMARISER = 'You sum up conversations';
export const SUM_UP = 'Sum up this conversation.';

/** Whether a call was to make a summary. */
export function sumsUp({ system }: SeenCall): boolean {
  return JSON.stringify(system ?? '').includes(SUMMARISER);
}

type Block = { readonly cache_control?: unknown } & Record<string, unknown>;

/** The blocks of a call's prompt in their order, without cache marks: a text is a block, as it is to the provider's cache. */
export function blocksOf({ system, messages }: SeenCall): string[] {
  return [{ role: 'system', content: system }, ...messages].flatMap(({ role, content }) =>
    (typeof content === 'string' ? [{ type: 'text', text: content }] : (content as Block[])).map(
      ({ cache_control: _, ...block }) => JSON.stringify({ role, ...block }),
    ),
  );
}

/** Whether the bytes of a prompt begin with the bytes of the one before. */
export function continues(call: SeenCall, before: SeenCall): boolean {
  return blocksOf(call).join('\n').startsWith(blocksOf(before).join('\n'));
}

/** The texts of a call's prompt. */
export function textsOf({ messages }: SeenCall): string[] {
  return messages.flatMap(({ content }) =>
    typeof content === 'string' ? [content] : (content as { text?: string }[]).map(({ text }) => text ?? ''),
  );
}
