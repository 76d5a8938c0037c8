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
               AND (left_out_by IS NULL OR seq = m.seq)
             ORDER BY seq DESC LIMIT ${MOST_MESSAGES}) AS newest
  ) AS counted
  WHERE total <= ${ROOM} OR seq = m.seq`;

/**
 * SQL: leaves what a job asked out of all later prompts. That is every user message since the last reply that prompts include, not only
 * the turn's own: they were sent as one, so any of them may be what the model does not take. `job` has `id`, `chat_id` and
 * `user_message_id`.
 */
export const leaveOut = (job: string): string => `
  UPDATE messages SET left_out_by = ${job}.id
    FROM ${job} JOIN messages m ON m.id = ${job}.user_message_id
   WHERE messages.chat_id = ${job}.chat_id AND messages.role = 'user' AND messages.left_out_by IS NULL
     AND messages.seq BETWEEN coalesce((SELECT a.seq FROM messages a
                                         WHERE a.chat_id = ${job}.chat_id AND a.seq < m.seq AND a.role = 'assistant'
                                           AND a.left_out_by IS NULL
                                         ORDER BY a.seq DESC LIMIT 1), 0) AND m.seq`;

/** SQL: takes in again what a job's turn had left out, for an operator puts the job back. */
export const takeIn = (job: string): string => `
  UPDATE messages SET left_out_by = NULL FROM ${job}
   WHERE messages.chat_id = ${job}.chat_id AND messages.left_out_by = ${job}.id`;

/** SQL: takes in again what was left out together with the message that a new job is to answer: its user asks for a reply once more. */
export const takeInAgain = (job: string): string => `
  UPDATE messages SET left_out_by = NULL
    FROM ${job} JOIN messages m ON m.id = ${job}.user_message_id
   WHERE messages.chat_id = ${job}.chat_id AND messages.left_out_by = m.left_out_by`;
