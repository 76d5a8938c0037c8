import type { EntityManager } from 'typeorm';
import { jobColumns, type JobRow, messageColumns, messageIn, type MessageRow } from '#database/columns.js';
import type { OtherPart } from '#database/entities/part.js';
import { versionOf } from './definitions.js';
import { draftParts, type ShownStep, shownSteps } from './steps.js';
import { readToolCalls, type ToolCallRow } from './tool-calls.js';

/** A job with the message it wrote, if any. */
export interface JobAndMessage<Row extends JobRow = JobRow> {
  readonly job: Row;
  readonly message: MessageRow | null;
  /** Its tool calls, where they are needed: for a stream, and while the job waits for a person. */
  readonly toolCalls?: readonly ToolCallRow[];
}

/** The part of a reply that a stream shows before the reply is a message. */
export interface SavedReply {
  /** The saved text of all steps. */
  readonly draft: string;
  /** The finished steps; null: none. */
  readonly steps: readonly ShownStep[] | null;
  /** The saved parts of the step under way besides its text; null: none. */
  readonly draftParts: readonly OtherPart[] | null;
  /** An earlier attempt may have shown reasoning. */
  readonly mayHaveReasoned: boolean;
}

/** The same with the saved reply, for a client that streams the job. */
export type JobWithDraft = JobAndMessage<JobRow & SavedReply>;

/** SQL: a job is not in its first attempt, and its assistant shows reasoning. */
const mayHaveReasoned = (t: string): string => `CASE WHEN ${t}.attempts > 1 THEN coalesce((
    SELECT (a.definition ->> 'show_reasoning')::boolean
      FROM chats ac JOIN assistant_versions a ON a.slug = ac.assistant_slug AND a.version = ${versionOf(t, 'ac')}
     WHERE ac.id = ${t}.chat_id), false) ELSE false END`;

/** Prefix of the message's fields in a row that has a job's as well. */
const MESSAGE = 'message.';

/** Reads a user's job. `undefined`: there is none, or it is another user's. */
export function readJob(manager: EntityManager, jobId: string, userId: string): Promise<JobAndMessage | undefined> {
  return read(manager, jobColumns('j'), jobId, userId, ({ status }) => status === 'requires_action');
}

/** The same with the saved reply. */
export function readJobWithDraft(
  manager: EntityManager,
  jobId: string,
  userId: string,
): Promise<JobWithDraft | undefined> {
  return read(
    manager,
    `${jobColumns('j')}, j.draft, ${shownSteps('j')} AS steps, ${draftParts('j')} AS "draftParts", ${mayHaveReasoned('j')} AS "mayHaveReasoned"`,
    jobId,
    userId,
    ({ step }) => step > 0,
  );
}

async function read<Row extends JobRow>(
  manager: EntityManager,
  columns: string,
  jobId: string,
  userId: string,
  needsToolCalls: (job: Row) => boolean,
): Promise<JobAndMessage<Row> | undefined> {
  // Ownership is read from the chat: a deleted chat has no owner, so its jobs vanish at once. A join would scan all the user's chats.
  const [row] = await manager.query<(Row & Record<string, unknown>)[]>(
    `SELECT ${columns}, ${messageColumns('m', MESSAGE)}
       FROM jobs j LEFT JOIN messages m ON m.job_id = j.id
      WHERE j.id = $1 AND (SELECT c.user_id FROM chats c WHERE c.id = j.chat_id) = $2`,
    [jobId, userId],
  );
  if (row === undefined) return undefined;
  const found = { job: row, message: messageIn(row, MESSAGE) };
  return needsToolCalls(row) ? { ...found, toolCalls: await readToolCalls(manager, jobId) } : found;
}
