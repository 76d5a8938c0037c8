import type { Stack } from './stack.js';

/** Lets an assistant show its reasoning, as its next version. An API that starts loads the file again, and takes that back. */
export async function showReasoning(stack: Stack, slug: string): Promise<void> {
  await stack.database.query('UPDATE assistants SET show_reasoning = true, version = version + 1 WHERE slug = $1', [
    slug,
  ]);
}

/** A block of visible thoughts, for a script. They come word by word. */
export const thoughts = (thinking: string, piece_delay_ms = 0): object => ({
  type: 'thinking',
  display: 'summarized',
  thinking,
  piece_delay_ms,
});

/** A block of text, for a script. */
export const said = (text: string): object => ({ type: 'text', text });

/** Thoughts of so many words, each different, with characters of two code units. */
export const words = (count: number, word = 'thought'): string =>
  Array.from({ length: count }, (_, n) => `${word} ${n} 😀`).join(' ');
