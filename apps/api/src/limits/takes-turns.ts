import type { EntityManager } from 'typeorm';
import { isUnfinished } from '#database/columns.js';
import type { ChatStatus } from '#database/entities/chat.entity.js';
import { ServiceError } from '#errors/service-error.js';

/** Checks that a chat can take a turn now. @throws ServiceError `chat_not_active`, or `turn_in_progress` with the job */
export async function assertTakesTurns(manager: EntityManager, chatId: string): Promise<void> {
  const [row] = await manager.query<{ status: ChatStatus; jobId: string | null }[]>(
    `SELECT c.status, j.id AS "jobId"
       FROM chats c LEFT JOIN jobs j ON j.chat_id = c.id AND ${isUnfinished('j')}
      WHERE c.id = $1`,
    [chatId],
  );
  if (row !== undefined && row.status !== 'active') {
    throw new ServiceError('chat_not_active', `The chat is ${row.status}.`);
  }
  if (row?.jobId) {
    throw new ServiceError('turn_in_progress', 'The chat has a turn in progress.', { jobId: row.jobId });
  }
}
