import type { EntityManager } from 'typeorm';
import { isUnfinished } from '#database/columns.js';
import { statement } from '#database/statement.js';
import { takeIn } from './history.js';
import { announce } from './states.js';
import { MAX_ATTEMPTS } from './timings.js';

/*
 * The only way out of a final state: an operator puts a failed job back. The statement locks the chat first. The reply must come right
 * after the message that it answers, so the chat must have no later message. The numbers of attempts go on, since they are fencing tokens.
 * The attempts left and the job's hour begin anew. The current definition answers the job, since the operator may have corrected it.
 */
const REQUEUE = statement(`
  WITH chat AS (
    SELECT c.id, c.last_seq FROM chats c JOIN jobs j ON j.chat_id = c.id
     WHERE j.id = :jobId AND c.status = 'active' AND c.user_id IS NOT NULL FOR UPDATE OF c
  ), job AS (
    UPDATE jobs SET status = 'queued', attempts_left = ${MAX_ATTEMPTS}, free_attempts = 0, available_at = now(), requeued_at = now(),
           round = (SELECT p.round FROM next_place(jobs.user_id, 0) p),
           step = 0, window_from_seq = NULL, assistant_version = NULL, finished_at = NULL, error_code = NULL, error_message = NULL
      FROM chat
     WHERE jobs.id = :jobId AND jobs.status = 'failed'
       AND EXISTS (SELECT FROM messages m WHERE m.id = jobs.user_message_id AND m.seq = chat.last_seq)
       AND NOT EXISTS (SELECT FROM jobs u WHERE u.chat_id = chat.id AND ${isUnfinished('u')})
    RETURNING jobs.id, jobs.status, jobs.attempts, jobs.chat_id, jobs.user_message_id
  ), left_steps AS (
    DELETE FROM steps USING job WHERE steps.job_id = job.id
  ), taken_in AS (${takeIn('job')}
  ), notice AS (${announce('job')})
  SELECT job.attempts FROM job LEFT JOIN notice ON true`);

/**
 * Puts a failed job back on the queue, due at once. If another turn is accepted at the same moment, the statement breaks the index
 * `jobs_one_unfinished` (see `isConflict` in accept.ts).
 * @returns the attempts so far; undefined: the job is not failed, its chat is deleted, not active or has another turn in flight, or the
 * chat has a later message
 */
export async function requeue(manager: EntityManager, jobId: string): Promise<number | undefined> {
  const rows = await REQUEUE.rows<{ attempts: number }>(manager, { jobId });
  return rows[0]?.attempts;
}
