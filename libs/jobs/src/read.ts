import type { EntityManager } from 'typeorm';
import { jobColumns, type JobRow, messageColumns, messageIn } from '#database/columns.js';
import type { Message } from '#database/entities/message.entity.js';

/** A job with the message it wrote, if any. */
export interface JobAndMessage<Row extends JobRow = JobRow> {
  readonly job: Row;
  readonly message: Message | null;
}

/** The same with the text of the running attempt as far as it is in the row: what a client follows. */
export type JobWithDraft = JobAndMessage<JobRow & { readonly draft: string }>;

/** Before the names of the message's fields in a row that has a job's as well. */
const MESSAGE = 'message.';

/** A user's job: what a client polls. `undefined` when there is none, or it is somebody else's. */
export function readJob(manager: EntityManager, jobId: string, userId: string): Promise<JobAndMessage | undefined> {
  return read(manager, jobColumns('j'), jobId, userId);
}

/** The same as it is followed. */
export function readJobWithDraft(
  manager: EntityManager,
  jobId: string,
  userId: string,
): Promise<JobWithDraft | undefined> {
  return read(manager, `${jobColumns('j')}, j.draft`, jobId, userId);
}

async function read<Row extends JobRow>(
  manager: EntityManager,
  columns: string,
  jobId: string,
  userId: string,
): Promise<JobAndMessage<Row> | undefined> {
  // By its chat: whoever's that is no more, at once has no more of its jobs. Of a join the user's chats would be looked through, all of them.
  const [row] = await manager.query<(Row & Record<string, unknown>)[]>(
    `SELECT ${columns}, ${messageColumns('m', MESSAGE)}
       FROM jobs j LEFT JOIN messages m ON m.job_id = j.id
      WHERE j.id = $1 AND (SELECT c.user_id FROM chats c WHERE c.id = j.chat_id) = $2`,
    [jobId, userId],
  );
  return row && { job: row, message: messageIn(row, MESSAGE) };
}
