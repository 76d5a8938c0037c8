import type { EntityManager } from 'typeorm';
import { NEXT_MOMENT } from '#database/columns.js';
import type { OtherPart } from '#database/entities/part.js';
import { newId } from '#database/ids.js';
import { statement, type Values } from '#database/statement.js';
import { versionOf } from './definitions.js';
import { ended, ENDED_TURN, type EndedTurn, ENDS, keptTurn } from './ending.js';
import {
  type CallFigures,
  CONTEXT_OF_CUT,
  endCalls,
  figureValues,
  NO_FIGURES,
  USAGE_COLUMNS,
  usageOf,
} from './ledger.js';
import { CANCEL_CHANNEL } from './states.js';
import { draftParts, SEES_ALL_STEPS } from './steps.js';

/* A cancel: by the worker that runs the job, with all of its text, or by the API, with the text that is saved. */

const ASK_CANCEL = statement(
  `SELECT pg_notify('${CANCEL_CHANNEL}', id::text) FROM jobs WHERE id = :jobId AND user_id = :userId AND status = 'running'`,
);

/**
 * Asks the worker that runs a job of `userId` to cancel it, with all of its text.
 * @returns false: no worker runs it
 */
export async function askCancel(manager: EntityManager, jobId: string, userId: string): Promise<boolean> {
  const rows = await ASK_CANCEL.rows(manager, { jobId, userId });
  return rows.length > 0;
}

/**
 * A cancel by the user (`userId`), whatever the job's state, or by the attempt (`attempt`), which brings its text.
 *
 * A worker may commit a step while the statement waits for the job's row. Then the statement sees the row after the commit, but the steps
 * and the ledger before it. In that case it changes nothing (`isFresh` is false), and must run again.
 */
const CANCEL = statement(`
  WITH chat AS (
    SELECT id FROM chats
     WHERE id = (SELECT j.chat_id FROM jobs j WHERE j.id = :jobId AND (:userId::text IS NULL OR j.user_id = :userId)) FOR UPDATE
  ), draft AS (
    SELECT jobs.id, jobs.draft, jobs.kept, coalesce(:otherParts::jsonb, ${draftParts('jobs')}) AS other_parts, ${SEES_ALL_STEPS} AS "isFresh"
      FROM jobs, chat WHERE jobs.id = :jobId FOR UPDATE OF jobs
  ), job AS (
    UPDATE jobs SET status = 'canceled', ${ENDS}
      FROM draft
     WHERE jobs.id = draft.id AND draft."isFresh"
       AND CASE WHEN :attempt::int IS NULL THEN jobs.status IN ('queued', 'running', 'requires_action')
                ELSE jobs.status = 'running' AND jobs.attempts = :attempt END
    RETURNING jobs.*, coalesce(:text::text, draft.draft) AS text, substr(coalesce(:text::text, draft.draft), 1 + length(draft.kept)) AS last_text,
              draft.other_parts
  ), call AS (${endCalls('job', { outcome: `'canceled'`, text: 'job.last_text' })}
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT},
           window_from_seq = coalesce(:windowFromSeq::int, window_from_seq), context_tokens = ${CONTEXT_OF_CUT}
     WHERE id = (SELECT job.chat_id FROM job WHERE job.step = 0 AND job.other_parts IS NULL AND job.text ~ '[^[:space:]]')
    RETURNING id, assistant_slug, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, status, job_id, model, assistant_version, stop_reason,
                          ${USAGE_COLUMNS}, created_at)
    SELECT :messageId, position.id, position.last_seq, 'assistant', job.text, 'incomplete', job.id, a.model, a.version, 'canceled',
           ${usageOf({ estimated: true })}, position.last_message_at
      FROM position JOIN job ON true
      JOIN assistant_versions a ON a.slug = position.assistant_slug AND a.version = ${versionOf('job', 'position')}
      LEFT JOIN call ON true
  ), kept AS (${keptTurn({
    messageId: ':messageId',
    said: 'job.text',
    lastText: 'job.last_text',
    otherParts: 'job.other_parts',
    stopReason: `'canceled'`,
    where: 'job.step > 0 OR job.other_parts IS NOT NULL',
    after: 'call',
  })}
  ), ${ended('kept')}
  SELECT draft."isFresh", (SELECT to_json(turn) FROM (SELECT ${ENDED_TURN} FROM ended) turn) AS ended FROM draft`);

/** The part of a reply that an attempt has when it is canceled: the whole text, and the other parts of the step under way (null: none). */
export interface CanceledReply {
  readonly text: string;
  readonly otherParts: readonly OtherPart[] | null;
  /** `seq` of the first message that its prompt had; null: the chat's window did not move. */
  readonly windowFromSeq: number | null;
}

/** How often a cancel may meet a commit. Between two commits the worker calls the model, so this is enough. */
const MOST_COMMITS = 10;

async function runCancel(manager: EntityManager, values: Values): Promise<EndedTurn | undefined> {
  for (let tries = 0; tries < MOST_COMMITS; tries++) {
    const [row] = await CANCEL.rows<{ isFresh: boolean; ended: EndedTurn | null }>(manager, {
      ...values,
      messageId: newId(),
    });
    if (row?.isFresh !== false) return row?.ended ?? undefined;
  }
  return undefined;
}

/** The worker that runs the attempt may be dead, and may settle the call if it is not. */
const WITHOUT_WORKER: CallFigures = { ...NO_FIGURES, estimated: true };

/**
 * Ends an unfinished job of `userId` as `canceled`, keeping the saved text, with its other parts, as an `incomplete` message. The worker that runs it receives the
 * notice and stops the model call.
 * @returns undefined when there is nothing to cancel: the job is unknown, another user's, or already final
 */
export async function cancel(manager: EntityManager, jobId: string, userId: string): Promise<EndedTurn | undefined> {
  return runCancel(manager, {
    jobId,
    userId,
    attempt: null,
    text: null,
    otherParts: null,
    windowFromSeq: null,
    ...figureValues(WITHOUT_WORKER),
  });
}

/**
 * The same for the worker that runs the attempt, with all of its text, and the other parts of its step.
 * @returns undefined when the attempt is no longer the job's
 */
export async function cancelAttempt(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  { text, otherParts, windowFromSeq }: CanceledReply,
  figures: CallFigures,
): Promise<EndedTurn | undefined> {
  const parts = otherParts && JSON.stringify(otherParts);
  const reply = { text, otherParts: parts, windowFromSeq };
  return runCancel(manager, { jobId, userId: null, attempt, ...reply, ...figureValues(figures) });
}
