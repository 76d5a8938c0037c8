import type { EntityManager } from 'typeorm';
import { jobColumns, messageColumns } from '#database/columns.js';
import type { Job } from '#database/entities/job.entity.js';
import type { Message } from '#database/entities/message.entity.js';

/** A job with the message it wrote, if any: what a client polls. */
export async function readJob(
  manager: EntityManager,
  jobId: string,
  userId: string,
): Promise<{ job: Job; message: Message | null } | undefined> {
  const [job] = await manager.query<Job[]>(`SELECT ${jobColumns('j')} FROM jobs j WHERE j.id = $1 AND j.user_id = $2`, [
    jobId,
    userId,
  ]);
  if (job === undefined) return undefined;
  if (job.status !== 'succeeded' && job.status !== 'canceled') return { job, message: null };
  const [message] = await manager.query<Message[]>(
    `SELECT ${messageColumns('m')} FROM messages m WHERE m.job_id = $1`,
    [jobId],
  );
  return { job, message: message ?? null };
}
