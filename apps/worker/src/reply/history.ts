import type Anthropic from '@anthropic-ai/sdk';
import type { EntityManager } from 'typeorm';
import type { MessageRole } from '#database/entities/message.entity.js';

/** Messages looked at, newest first. */
const MOST_MESSAGES = 200;

/**
 * Characters of history sent at most: about 100,000 tokens at a cautious three characters a token, which leaves room
 * for the system prompt and the reply in the smallest context in use (200,000 tokens).
 */
export const MOST_CHARACTERS = 300_000;

export interface HistoryRow {
  readonly role: MessageRole;
  readonly content: string;
}

/** The chat's newest messages up to `answersSeq`, newest first, as many as fit the budget. Only that chat's. */
export function readHistory(manager: EntityManager, chatId: string, answersSeq: number): Promise<HistoryRow[]> {
  return manager.query<HistoryRow[]>(
    `SELECT role, content FROM (
       SELECT role, content, seq, sum(length(content)) OVER (ORDER BY seq DESC) AS total
         FROM (SELECT role, content, seq FROM messages
                WHERE chat_id = $1 AND seq <= $2 AND role IN ('user', 'assistant') AND content <> ''
                ORDER BY seq DESC LIMIT $3) AS newest
     ) AS counted
     WHERE total <= $4 OR seq = $2
     ORDER BY seq DESC`,
    [chatId, answersSeq, MOST_MESSAGES, MOST_CHARACTERS],
  );
}

/**
 * What the Messages API takes: turns of user and assistant in alternation, beginning with the user. Messages of one role
 * that follow one another (a message stored without asking for a reply, a turn whose reply failed) become one.
 */
export function toModelMessages(newestFirst: readonly HistoryRow[]): Anthropic.MessageParam[] {
  const messages: { role: 'user' | 'assistant'; content: string }[] = [];
  for (const { role, content } of [...newestFirst].reverse()) {
    // The model takes no blank message, and one that a reply or a cancel left behind must not spoil the chat for good.
    if (role === 'system' || content.trim() === '') continue;
    const last = messages.at(-1);
    if (last === undefined && role === 'assistant') continue;
    if (last?.role === role) last.content += `\n\n${content}`;
    else messages.push({ role, content });
  }
  return messages;
}
