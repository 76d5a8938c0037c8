import { messageBytes } from '#database/columns.js';
import type { MessageRole } from '#database/entities/message.entity.js';

/** How many messages are read, newest first. */
const MOST_MESSAGES = 200;

/** The smallest context of a model in use, and how much of it the frame of the messages takes, in tokens. */
const CONTEXT_TOKENS = 200_000;
const FRAME_TOKENS = 10 * MOST_MESSAGES;

/** Bytes of instructions for one token. Operators write these, so a cautious guess for any script is enough. */
const PROMPT_BYTES_A_TOKEN = 2;

/** A message as it is sent to the model. */
export interface HistoryRow {
  readonly seq: number;
  readonly role: MessageRole;
  readonly content: string;
  /** Left out: the message is its content alone. */
  readonly parts?: readonly MessagePart[];
}

/** A part of a stored reply, as the contract has it. Only these two go to the model. */
export type MessagePart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tool_call'; readonly tool_call: HistoryCall }
  | { readonly type: 'source' };

/** A tool call of an earlier turn. */
export interface HistoryCall {
  readonly id: string;
  readonly step: number;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly result: string;
  readonly is_error: boolean;
}

/**
 * SQL: bytes of history, in UTF-8, that fit beside the instructions and the longest reply of the definition `a`. A token has at least one
 * byte, so the history fits in any script. Without this bound the model would refuse every further turn of a long chat.
 */
export const ROOM = `greatest(0, ${CONTEXT_TOKENS - FRAME_TOKENS} - a.max_output_tokens
  - ceil((a.prompt_bytes + a.tool_bytes) / ${PROMPT_BYTES_A_TOKEN}.0))`;

/**
 * SQL: the messages to send for a job `job` with the definition `a` that answers the message `m`, as JSON: the newest messages of the chat
 * up to that one, newest first, as many as fit. A message that does not fit is left out, with all older ones; so are refused turns
 * ({@link leaveOut}). PostgreSQL knows the size of a row's text without reading the text. Once a step is finished, later calls of the
 * turn get the same messages as the first.
 */
export const HISTORY = `
  SELECT json_agg(CASE WHEN parts IS NULL THEN json_build_object('seq', seq, 'role', role, 'content', content)
                       ELSE json_build_object('seq', seq, 'role', role, 'content', content, 'parts', parts) END ORDER BY seq DESC) FROM (
    SELECT role, content, parts, seq, sum(${messageBytes('newest')}) OVER (ORDER BY seq DESC) AS total
      FROM (SELECT role, content, parts, seq FROM messages
             WHERE chat_id = job.chat_id AND seq BETWEEN coalesce(job.window_from_seq, 1) AND m.seq AND role IN ('user', 'assistant')
               AND (content <> '' OR parts IS NOT NULL)
               AND (left_out_by IS NULL OR seq = m.seq)
             ORDER BY seq DESC LIMIT ${MOST_MESSAGES}) AS newest
  ) AS counted
  WHERE total <= ${ROOM} OR seq = m.seq OR job.step > 0`;

/**
 * SQL: leaves the question of a job out of all later prompts. The question is every user message since the last reply in the prompt, not
 * only the turn's own: the model got them as one message, and may have refused any of them. `job` has `id`, `chat_id` and
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

/** SQL: includes again the messages that a job's turn had left out, because an operator puts the job back. */
export const takeIn = (job: string): string => `
  UPDATE messages SET left_out_by = NULL FROM ${job}
   WHERE messages.chat_id = ${job}.chat_id AND messages.left_out_by = ${job}.id`;

/** SQL: includes again the message that a new job answers, and those left out with it, because the user asks for a reply once more. */
export const takeInAgain = (job: string): string => `
  UPDATE messages SET left_out_by = NULL
    FROM ${job} JOIN messages m ON m.id = ${job}.user_message_id
   WHERE messages.chat_id = ${job}.chat_id AND messages.left_out_by = m.left_out_by`;
