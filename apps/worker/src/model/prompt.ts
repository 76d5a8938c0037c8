import type Anthropic from '@anthropic-ai/sdk';
import type { HistoryRow } from '#jobs/history.js';

/** White space to us, or to the model, which goes by another list: Python's has U+001C to U+001F and U+0085, too. */
const BLANK = /^[\s\p{Cc}]*$/u;

/**
 * The messages in the form that the Messages API takes: turns of user and assistant in alternation, beginning with the user. Messages of
 * one role that follow one another (a message stored without asking for a reply, a turn whose reply failed) become one.
 */
export function toModelMessages(newestFirst: readonly HistoryRow[]): Anthropic.MessageParam[] {
  const messages: { role: 'user' | 'assistant'; content: string }[] = [];
  for (const row of [...newestFirst].reverse()) {
    const { role, content } = row;
    // The model takes no blank message, and one that a reply or a cancel left behind must not spoil the chat for good.
    if (role === 'system' || (BLANK.test(content) && row !== newestFirst[0])) continue;
    const last = messages.at(-1);
    if (last === undefined && role === 'assistant') continue;
    if (last?.role === role) last.content += `\n\n${content}`;
    else messages.push({ role, content });
  }
  return messages;
}

/**
 * The newer half of a history, for a model that found the whole too long. The user messages since the last reply are what is to be
 * answered, so they stay.
 * @returns undefined when nothing but them is left
 */
export function shorter(newestFirst: readonly HistoryRow[]): readonly HistoryRow[] | undefined {
  const lastReply = newestFirst.findIndex(({ role }) => role === 'assistant');
  if (lastReply < 0) return undefined;
  return newestFirst.slice(0, Math.max(lastReply, Math.ceil(newestFirst.length / 2)));
}
