import type { MessageRole } from '#database/entities/message.entity.js';
import { MOST_MESSAGES_READ } from './timings.js';

/** Most bytes that a claim reads for one token of a prompt. Few texts have as many, so the bound in tokens is usually reached first. */
const MOST_BYTES_A_TOKEN = 6;

/** A message as it is sent to the model. */
export interface HistoryRow {
  readonly seq: number;
  readonly role: MessageRole;
  readonly content: string;
  /** Left out: the message has no tool calls, and its content is all that is sent. */
  readonly parts?: readonly MessagePart[];
}

/** A part of a stored reply that goes to the model. Reasoning and sources do not. */
export type MessagePart =
  { readonly type: 'text'; readonly text: string } | { readonly type: 'tool_call'; readonly tool_call: HistoryCall };

/** A tool call of an earlier turn. */
export interface HistoryCall {
  readonly id: string;
  readonly step: number;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly result: string;
  readonly is_error: boolean;
}

/** Most bytes of history, in UTF-8, that a claim reads for a prompt of at most this many tokens. */
export function mostHistoryBytes(contextTokens: number): number {
  return contextTokens * MOST_BYTES_A_TOKEN;
}

/** SQL: the same for the definition `a`. */
const ROOM = `(a.context_tokens::bigint * ${MOST_BYTES_A_TOKEN})`;

/** SQL: a message has tool calls, its parts that go to the model, and about how many bytes of it go there. Most messages have no parts. */
const HAS_CALLS = `parts @? '$[*] ? (@.type == "tool_call")'`;
const SENT_PARTS = `jsonb_path_query_array(parts, '$[*] ? (@.type == "text" || @.type == "tool_call")')`;
const SENT_BYTES = `(octet_length(content) + CASE WHEN parts IS NULL THEN 0
    ELSE octet_length(jsonb_path_query_array(parts, '$[*].tool_call')::text) END)`;
/** SQL: `seq` of the first message of the window of the chat `c` for the job `job`; null: all messages. */
export const WINDOW_FROM_SEQ = `coalesce(job.window_from_seq, c.window_from_seq)`;

/**
 * SQL, for a FROM list: the row of `messages` to send, as JSON, newest first, for a job `job` of the chat `c` with the definition `a` that
 * answers the message `m`. These are the messages from the beginning of the chat's window up to that one. `is_cut`: the window has more bytes
 * than a claim reads. `version`: the definition's version of the newest reply among them.
 *
 * The worker moves the window's beginning by the model's own counts, long before a bound here is reached. The bounds only bound what is read,
 * left-out messages included. PostgreSQL knows the size of a row's text without reading the text. A refused turn is left out
 * ({@link leaveOut}). Once a step is finished, later calls of the turn get the same messages as the first.
 */
export const HISTORY = `
  SELECT json_agg(CASE WHEN ${HAS_CALLS} THEN json_build_object('seq', seq, 'role', role, 'content', content, 'parts', ${SENT_PARTS})
                  ELSE json_build_object('seq', seq, 'role', role, 'content', content) END
                  ORDER BY seq DESC) FILTER (WHERE fits) AS messages,
         NOT bool_and(fits) AS is_cut,
         (array_agg(assistant_version ORDER BY seq DESC) FILTER (WHERE role = 'assistant'))[1] AS version
    FROM (SELECT role, content, parts, seq, assistant_version,
                 sum(${SENT_BYTES}) OVER (ORDER BY seq DESC) <= ${ROOM} OR seq = m.seq OR job.step > 0 AS fits
            FROM (SELECT role, content, parts, seq, assistant_version FROM messages
                   WHERE chat_id = job.chat_id AND role IN ('user', 'assistant')
                     AND seq BETWEEN greatest(least(coalesce(${WINDOW_FROM_SEQ}, 1), m.seq), m.seq - ${MOST_MESSAGES_READ - 1}) AND m.seq
                     AND (content <> '' OR parts IS NOT NULL)
                     AND (left_out_by IS NULL OR seq = m.seq)
                   ORDER BY seq DESC LIMIT ${MOST_MESSAGES_READ}) AS newest) AS read`;

/** SQL: the newest summary of messages before the window of the chat `c` for the job `job`. Most chats have no window, and read nothing. */
export const SUMMARY = `CASE WHEN ${WINDOW_FROM_SEQ} > 1 THEN (
  SELECT s.content FROM summaries s WHERE s.chat_id = job.chat_id AND s.until_seq < ${WINDOW_FROM_SEQ}
   ORDER BY s.until_seq DESC LIMIT 1) END`;

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
