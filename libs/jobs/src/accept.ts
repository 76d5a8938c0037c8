import type { EntityManager } from 'typeorm';
import { jobColumns, type JobRow, NEXT_MOMENT } from '#database/columns.js';
import type { Message } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
import { breaks, isKeyConflict, keepKey, keyIsKept, keyValues, type RequestKey } from '#database/request-key.js';
import { MAX_ATTEMPTS } from './timings.js';

export interface NewTurn {
  readonly jobId: string;
  readonly chatId: string;
  readonly userId: string;
  /** Set when the turn came by an assistant's own paths: the chat must be that assistant's. */
  readonly assistantSlug: string | undefined;
  readonly content: string;
  readonly metadata: Record<string, string>;
  readonly requestId: string;
  /** Kept with the turn, so that it is not accepted twice. */
  readonly requestKey: RequestKey | undefined;
}

export interface AcceptedTurn {
  readonly userMessage: Message;
  readonly job: JobRow;
}

const HAS_UNFINISHED = `SELECT 1 FROM jobs u WHERE u.chat_id = chats.id AND u.status IN ('queued', 'running')`;

const ACCEPT_TURN = `
  WITH chat AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
     WHERE id = $1 AND user_id = $2 AND ($3::text IS NULL OR assistant_slug = $3)
       AND status = 'active' AND NOT EXISTS (${HAS_UNFINISHED}) AND NOT ${keyIsKept(2, 9)}
    RETURNING id, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, metadata, created_at)
    SELECT $4, id, last_seq, 'user', $5, $6, last_message_at FROM chat
    RETURNING id, chat_id, seq, metadata, created_at
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left)
    SELECT $7, 'assistant-reply', 'queued', chat_id, $2, id, $8, ${MAX_ATTEMPTS} FROM message
    RETURNING *
  ), kept AS (${keepKey({ user: 2, key: 9 }, { column: 'job_id', value: 'job.id', from: 'job' })}
  )
  SELECT message.seq, message.metadata, message.created_at AS "messageCreatedAt", ${jobColumns('job')} FROM message, job`;

/**
 * Accepts a turn: the user's message and the job for its reply, in one statement and so in one transaction.
 *
 * Gives `undefined` when the chat cannot take a turn, or the request's key is kept already; the caller finds out why, off the
 * hot path. Two turns at once for one chat wait for one another at the chat's row; the later one then either sees the
 * other's job or breaks the index `jobs_one_unfinished`, or that of the keys (see {@link isConflict}).
 */
export async function acceptTurn(manager: EntityManager, turn: NewTurn): Promise<AcceptedTurn | undefined> {
  const messageId = newId();
  const rows = await manager.query<(JobRow & Pick<Message, 'seq' | 'metadata'> & { messageCreatedAt: Date })[]>(
    ACCEPT_TURN,
    [
      turn.chatId,
      turn.userId,
      turn.assistantSlug ?? null,
      messageId,
      turn.content,
      turn.metadata,
      turn.jobId,
      turn.requestId,
      ...keyValues(turn.requestKey),
    ],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const { seq, metadata, messageCreatedAt, ...job } = row;
  const userMessage: Message = {
    id: messageId,
    chatId: turn.chatId,
    seq,
    role: 'user',
    content: turn.content,
    status: 'complete',
    metadata,
    jobId: null,
    model: null,
    stopReason: null,
    inputTokens: null,
    outputTokens: null,
    createdAt: messageCreatedAt,
  };
  return { userMessage, job };
}

const LOCK_CHAT = `SELECT 1 FROM chats WHERE id = $1 AND user_id = $2 FOR UPDATE`;

const ACCEPT_REPLY = `
  WITH chat AS (
    SELECT id, last_seq FROM chats
     WHERE id = $1 AND status = 'active' AND NOT EXISTS (${HAS_UNFINISHED}) AND NOT ${keyIsKept(2, 5)}
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left)
    SELECT $3, 'assistant-reply', 'queued', chat.id, $2, m.id, $4, ${MAX_ATTEMPTS}
      FROM chat JOIN messages m ON m.chat_id = chat.id AND m.seq = chat.last_seq AND m.role = 'user'
    RETURNING *
  ), kept AS (${keepKey({ user: 2, key: 5 }, { column: 'job_id', value: 'job.id', from: 'job' })}
  )
  SELECT ${jobColumns('job')} FROM job`;

/**
 * Accepts a job that answers the user messages stored so far. `undefined` when the chat is not active, has a turn in
 * flight, or its newest message is not the user's; or when the request's key is kept already.
 *
 * To be called in a transaction: the chat is locked first and looked at in a second statement, which sees what the
 * wait for the lock let pass: another message, another job, a closing of the chat.
 */
export async function acceptReply(
  manager: EntityManager,
  reply: Pick<NewTurn, 'jobId' | 'chatId' | 'userId' | 'requestId' | 'requestKey'>,
): Promise<JobRow | undefined> {
  const locked = await manager.query<unknown[]>(LOCK_CHAT, [reply.chatId, reply.userId]);
  if (locked.length === 0) return undefined;
  const { chatId, userId, jobId, requestId, requestKey } = reply;
  const values = [chatId, userId, jobId, requestId, ...keyValues(requestKey)];
  const rows = await manager.query<JobRow[]>(ACCEPT_REPLY, values);
  return rows[0];
}

/** Whether a statement failed because, in the same moment, the chat got another unfinished job or the request a twin. */
export function isConflict(error: unknown): boolean {
  return breaks(error, 'jobs_one_unfinished') || isKeyConflict(error);
}

/** The row as it was when the job was accepted: what changes in it began like this. */
export function asAccepted(job: JobRow): JobRow {
  return {
    ...job,
    status: 'queued',
    attempts: 0,
    startedAt: null,
    finishedAt: null,
    errorCode: null,
    errorMessage: null,
  };
}
