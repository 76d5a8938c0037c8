import type Anthropic from '@anthropic-ai/sdk';
import type { HistoryRow } from '#jobs/history.js';
import type { FinishedStep } from '#jobs/steps.js';
import { isBlank } from './blank.js';

/**
 * Makes the messages of a request: user and assistant alternate, and the user begins. Adjacent messages of one role are joined: a message
 * may be stored without a request for a reply, and a reply may fail.
 */
export function toModelMessages(newestFirst: readonly HistoryRow[]): Anthropic.MessageParam[] {
  const messages: { role: 'user' | 'assistant'; content: string }[] = [];
  for (const row of [...newestFirst].reverse()) {
    const { role, content } = row;
    // The model refuses blank messages. A blank message that a reply or a cancel left must not make all later prompts fail.
    if (role === 'system' || (isBlank(content) && row !== newestFirst[0])) continue;
    const last = messages.at(-1);
    if (last === undefined && role === 'assistant') continue;
    if (last?.role === role) last.content += `\n\n${content}`;
    else messages.push({ role, content });
  }
  return messages;
}

/**
 * Makes the messages that follow the history: the model's finished steps, with the blocks as they came. The next step continues a paused
 * one, so both are one message.
 */
export function toStepMessages(steps: readonly Pick<FinishedStep, 'content'>[]): Anthropic.MessageParam[] {
  const content = steps.flatMap((step) => step.content as readonly Anthropic.ContentBlockParam[]);
  return content.length === 0 ? [] : [{ role: 'assistant', content }];
}

/**
 * The newer half of a history that the model found too long. The user messages since the last reply stay, since they need the answer.
 * @returns undefined: only they are left
 */
export function shorter(newestFirst: readonly HistoryRow[]): readonly HistoryRow[] | undefined {
  const lastReply = newestFirst.findIndex(({ role }) => role === 'assistant');
  if (lastReply < 0) return undefined;
  return newestFirst.slice(0, Math.max(lastReply, Math.ceil(newestFirst.length / 2)));
}
