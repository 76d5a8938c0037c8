import type Anthropic from '@anthropic-ai/sdk';
import type { HistoryRow } from '#jobs/history.js';

/** White space to us, or to the model, which goes by another list: Python's has U+001C to U+001F and U+0085, too. */
const BLANK = /^[\s\p{Cc}]*$/u;

/**
 * What the Messages API takes: turns of user and assistant in alternation, beginning with the user. Messages of one role
 * that follow one another (a message stored without asking for a reply, a turn whose reply failed) become one.
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
