import type { SeenCall } from './model-stub.js';

interface Said {
  readonly role: string;
  readonly content: string;
}

/**
 * The messages of a call as their words: the texts of each message, with a blank line between them. The blocks of a message, and the marks
 * for the cache, do not matter to these tests.
 */
export function saidIn(call: SeenCall | undefined): Said[] {
  return (call?.messages ?? []).map(({ role, content }) => ({ role, content: wordsIn(content) }));
}

/** The words of the last message of a call. */
export function askedIn(call: SeenCall | undefined): string | undefined {
  return saidIn(call).at(-1)?.content;
}

function wordsIn(content: unknown): string {
  if (typeof content === 'string') return content;
  return (content as { text?: string }[]).map(({ text }) => text ?? '').join('\n\n');
}
