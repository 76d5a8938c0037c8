import type { EntityManager } from 'typeorm';
import { jobColumns, type JobRow, messageColumns } from '#database/columns.js';
import type { Message } from '#database/entities/message.entity.js';

/** A job with the message it wrote, if any. */
export interface JobAndMessage<Row extends JobRow = JobRow> {
  readonly job: Row;
  readonly message: Message | null;
}

/** The same with the text of the running attempt as far as it is in the row: what a client follows. */
export type JobWithDraft = JobAndMessage<JobRow & { readonly draft: string }>;

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
  // By its chat: whoever's that is no more, at once has no more of its jobs.
  const [job] = await manager.query<Row[]>(
    `SELECT ${columns} FROM jobs j JOIN chats c ON c.id = j.chat_id WHERE j.id = $1 AND c.user_id = $2`,
    [jobId, userId],
  );
  if (job === undefined) return undefined;
  if (job.status !== 'succeeded' && job.status !== 'canceled') return { job, message: null };
  const [now] = await manager.query<(Message | Record<keyof Message, null>)[]>(
    `SELECT ${messageColumns('m')} FROM jobs j JOIN chats c ON c.id = j.chat_id LEFT JOIN messages m ON m.job_id = j.id
      WHERE j.id = $1 AND c.user_id = $2`,
    [jobId, userId],
  );
  // Deleted since. Without another look at the job it would be one that succeeded and wrote nothing.
  if (now === undefined) return undefined;
  return { job, message: now.id === null ? null : now };
}
