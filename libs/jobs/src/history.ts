import type { MessageRole } from '#database/entities/message.entity.js';

/** Messages looked at, newest first. */
const MOST_MESSAGES = 200;

/** The smallest context in use, and what of it frames the messages, in tokens. */
const CONTEXT_TOKENS = 200_000;
const FRAME_TOKENS = 10 * MOST_MESSAGES;

/** Of instructions, which are the operator's own, a token is taken to have so many bytes: a cautious guess in any script. */
const PROMPT_BYTES_A_TOKEN = 2;

/** A message as the model is sent it. */
export interface HistoryRow {
  readonly role: MessageRole;
  readonly content: string;
}

/**
 * SQL: bytes of history, in UTF-8, that fit beside the instructions and the longest reply of an assistant `a`. No token has less than
 * a byte, so they fit whatever was said and in whatever script: a chat that is too long for its model would be refused for good.
 */
export const ROOM = `greatest(0, ${CONTEXT_TOKENS - FRAME_TOKENS} - a.max_output_tokens
  - ceil(octet_length(a.system_prompt) / ${PROMPT_BYTES_A_TOKEN}.0))`;

/**
 * SQL: what to send for a job `job` of an assistant `a` that is to answer the message `m`, as JSON: the newest messages of its chat, and
 * only of that, up to this one, newest first, as many as fit. One that does not fit is left out, and all that are older; so are refused
 * turns ({@link leaveOut}). A row's text is sized without reading it.
 */
export const HISTORY = `
  SELECT json_agg(json_build_object('role', role, 'content', content) ORDER BY seq DESC) FROM (
    SELECT role, content, seq, sum(octet_length(content)) OVER (ORDER BY seq DESC) AS total
      FROM (SELECT role, content, seq FROM messages
             WHERE chat_id = job.chat_id AND seq <= m.seq AND role IN ('user', 'assistant') AND content <> ''
               AND (in_context OR seq = m.seq)
             ORDER BY seq DESC LIMIT ${MOST_MESSAGES}) AS newest
  ) AS counted
  WHERE total <= ${ROOM} OR seq = m.seq`;

/** SQL: the number of a chat's last reply that prompts include, before the message `m`; 0 where there is none. */
const lastReply = (chatId: string, before: string): string => `
  coalesce((SELECT a.seq FROM messages a
             WHERE a.chat_id = ${chatId} AND a.seq < ${before} AND a.role = 'assistant' AND a.in_context
             ORDER BY a.seq DESC LIMIT 1), 0)`;

/**
 * SQL: leaves what a job asked out of all later prompts. That is every user message since the last reply, not only the turn's own: they
 * were sent as one, so any of them may be what the model does not take. `job` has `chat_id` and `user_message_id`.
 */
export const leaveOut = (job: string): string => `
  UPDATE messages SET in_context = false
    FROM ${job} JOIN messages m ON m.id = ${job}.user_message_id
   WHERE messages.chat_id = ${job}.chat_id AND messages.role = 'user' AND messages.in_context
     AND messages.seq BETWEEN ${lastReply(`${job}.chat_id`, 'm.seq')} AND m.seq`;

/** SQL: takes back what {@link leaveOut} did, for a job that an operator puts back. */
export const takeIn = (job: string): string => `
  UPDATE messages SET in_context = true
    FROM ${job} JOIN messages m ON m.id = ${job}.user_message_id
   WHERE messages.chat_id = ${job}.chat_id AND messages.role = 'user' AND NOT messages.in_context
     AND messages.seq BETWEEN ${lastReply(`${job}.chat_id`, 'm.seq')} AND m.seq`;
