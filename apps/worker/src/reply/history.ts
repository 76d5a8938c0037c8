import type Anthropic from '@anthropic-ai/sdk';
import type { EntityManager } from 'typeorm';
import type { MessageRole } from '#database/entities/message.entity.js';
import type { ClaimedJob } from '#jobs/claim.js';

/** Messages looked at, newest first. */
const MOST_MESSAGES = 200;

/** The smallest context in use, and what of it frames the messages, in tokens. */
const CONTEXT_TOKENS = 200_000;
const FRAME_TOKENS = 10 * MOST_MESSAGES;

/** Of instructions, which are the operator's own, a token is taken to have so many bytes: a cautious guess in any script. */
const PROMPT_BYTES_A_TOKEN = 2;

/**
 * Bytes of history, in UTF-8, that fit beside the instructions and the longest reply. No token has less than a byte, so they fit
 * whatever was said and in whatever script: a chat that is too long for its model would be refused for good.
 */
export function roomFor({
  systemPrompt,
  maxOutputTokens,
}: Pick<ClaimedJob, 'systemPrompt' | 'maxOutputTokens'>): number {
  const promptTokens = Math.ceil(Buffer.byteLength(systemPrompt) / PROMPT_BYTES_A_TOKEN);
  return Math.max(0, CONTEXT_TOKENS - FRAME_TOKENS - maxOutputTokens - promptTokens);
}

export interface HistoryRow {
  readonly role: MessageRole;
  readonly content: string;
}

// A row's text is sized without reading it.
const BEGIN_CALL = `
  WITH call AS (
    INSERT INTO model_calls (job_id, attempt, model, user_id, assistant_slug)
    SELECT id, attempts, $6, user_id, (SELECT assistant_slug FROM chats WHERE chats.id = $1) FROM jobs WHERE id = $5 AND status = 'running' AND attempts = $7 FOR SHARE
    RETURNING job_id
  )
  SELECT role, content FROM (
    SELECT role, content, seq, sum(octet_length(content)) OVER (ORDER BY seq DESC) AS total
      FROM (SELECT role, content, seq FROM messages
             WHERE chat_id = $1 AND seq <= $2 AND role IN ('user', 'assistant') AND content <> ''
             ORDER BY seq DESC LIMIT $3) AS newest
  ) AS counted
  WHERE (total <= $4 OR seq = $2) AND EXISTS (SELECT FROM call)
  ORDER BY seq DESC`;

/**
 * Opens the line of the attempt's call in the ledger and gives what to send: the chat's newest messages up to the one to
 * answer, newest first, as many as fit the model. Only that chat's. One that does not fit is left out, and all that are older.
 *
 * Both in one statement: there is no call without its line, and hardly a line without its call.
 * @returns undefined when the attempt is no longer the job's: no call must be made.
 */
export async function beginCall(manager: EntityManager, job: ClaimedJob): Promise<HistoryRow[] | undefined> {
  const { id, attempt, chatId, answersSeq, model } = job;
  const values = [chatId, answersSeq, MOST_MESSAGES, roomFor(job), id, model, attempt];
  const rows = await manager.query<HistoryRow[]>(BEGIN_CALL, values);
  // The message to answer is among them always.
  return rows.length === 0 ? undefined : rows;
}

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
