import type { EntityManager } from 'typeorm';
import { jobColumns } from '#database/columns.js';
import type { Job } from '#database/entities/job.entity.js';
import type { Message } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
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
}

export interface AcceptedTurn {
  readonly userMessage: Message;
  readonly job: Job;
}

const HAS_UNFINISHED = `SELECT 1 FROM jobs u WHERE u.chat_id = chats.id AND u.status IN ('queued', 'running')`;

const ACCEPT_TURN = `
  WITH chat AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = now()
     WHERE id = $1 AND user_id = $2 AND ($3::text IS NULL OR assistant_slug = $3)
       AND status = 'active' AND NOT EXISTS (${HAS_UNFINISHED})
    RETURNING id, last_seq
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, metadata)
    SELECT $4, id, last_seq, 'user', $5, $6 FROM chat
    RETURNING id, chat_id, seq, created_at
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left)
    SELECT $7, 'assistant-reply', 'queued', chat_id, $2, id, $8, ${MAX_ATTEMPTS} FROM message
    RETURNING *
  )
  SELECT message.seq, message.created_at AS "messageCreatedAt", ${jobColumns('job')} FROM message, job`;

/**
 * Accepts a turn: the user's message and the job for its reply, in one statement and so in one transaction.
 *
 * Gives `undefined` when the chat cannot take a turn; the caller finds out why, off the hot path. Two turns at once
 * for one chat wait for one another at the chat's row; the later one then either sees the other's job or
 * breaks the index `jobs_one_unfinished` (see {@link isTurnConflict}).
 */
export async function acceptTurn(manager: EntityManager, turn: NewTurn): Promise<AcceptedTurn | undefined> {
  const messageId = newId();
  const rows = await manager.query<(Job & { seq: number; messageCreatedAt: Date })[]>(ACCEPT_TURN, [
    turn.chatId,
    turn.userId,
    turn.assistantSlug ?? null,
    messageId,
    turn.content,
    turn.metadata,
    turn.jobId,
    turn.requestId,
  ]);
  const row = rows[0];
  if (row === undefined) return undefined;
  const { seq, messageCreatedAt, ...job } = row;
  const userMessage: Message = {
    id: messageId,
    chatId: turn.chatId,
    seq,
    role: 'user',
    content: turn.content,
    status: 'complete',
    metadata: turn.metadata,
    jobId: null,
    model: null,
    stopReason: null,
    inputTokens: null,
    outputTokens: null,
    createdAt: messageCreatedAt,
  };
  return { userMessage, job };
}

const ACCEPT_REPLY = `
  WITH chat AS (
    -- The lock keeps two askers, and a closing of the chat, from passing one another.
    SELECT id, last_seq FROM chats
     WHERE id = $1 AND user_id = $2 AND status = 'active' AND NOT EXISTS (${HAS_UNFINISHED})
       FOR UPDATE
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left)
    SELECT $3, 'assistant-reply', 'queued', chat.id, $2, m.id, $4, ${MAX_ATTEMPTS}
      FROM chat JOIN messages m ON m.chat_id = chat.id AND m.seq = chat.last_seq AND m.role = 'user'
    RETURNING *
  )
  SELECT ${jobColumns('job')} FROM job`;

/**
 * Accepts a job that answers the user messages stored so far. `undefined` when the chat is not active, has a turn in
 * flight, or its newest message is not the user's.
 */
export async function acceptReply(
  manager: EntityManager,
  reply: { jobId: string; chatId: string; userId: string; requestId: string },
): Promise<Job | undefined> {
  const rows = await manager.query<Job[]>(ACCEPT_REPLY, [reply.chatId, reply.userId, reply.jobId, reply.requestId]);
  return rows[0];
}

/** Whether a statement failed because the chat got another unfinished job in the same moment. */
export function isTurnConflict(error: unknown): boolean {
  const driver = (error as { driverError?: { code?: string; constraint?: string } }).driverError;
  return driver?.code === '23505' && driver.constraint === 'jobs_one_unfinished';
}
