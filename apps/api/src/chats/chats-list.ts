import type { EntityManager } from 'typeorm';
import type { ChatsQuery } from '#contract/queries.dto.js';
import { chatColumns } from '#database/columns.js';
import type { Chat, ChatStatus } from '#database/entities/chat.entity.js';
import type { PageStart } from '../http/page-start.js';

const STATUSES = ['active', 'archived', 'closed'] as const satisfies ChatStatus[];

/**
 * A user's chats in the order of their last messages: `limit` of them after `from`. `forward`: towards the newest, the oldest first.
 *
 * Each status is read separately, from an index in the list's order, with or without the assistant. So the cost of a page does not depend
 * on the number of chats. Active chats have no such index: a user has at most one for each assistant, and each turn would write to the
 * index twice.
 */
export function readChats(
  manager: EntityManager,
  userId: string,
  { assistant, status }: Pick<ChatsQuery, 'assistant' | 'status'>,
  forward: boolean,
  from: PageStart | undefined,
  limit: number,
): Promise<Chat[]> {
  const [compare, direction] = forward ? ['>', 'ASC'] : ['<', 'DESC'];
  const values: unknown[] = [userId];
  const value = (one: unknown): string => `$${values.push(one)}`;
  const start = from && `(${value(from.at)}::timestamptz, ${value(from.id)}::uuid)`;
  const slug = assistant === undefined ? undefined : value(assistant);
  // Statuses are part of the statement's text, since PostgreSQL uses the partial indexes only for constants.
  const active = (): string => `
    (SELECT * FROM chats WHERE user_id = $1 AND status = 'active' ${slug ? `AND assistant_slug = ${slug}` : ''}
      ORDER BY assistant_slug OFFSET 0) AS active`;
  const atRest = (one: ChatStatus): string => `
    (SELECT * FROM chats WHERE user_id = $1 AND status = '${one}' ${slug ? `AND assistant_slug = ${slug}` : ''}) AS rest`;
  const part = (one: ChatStatus): string => {
    const at = one === 'active' ? 'last_message_at' : 'rested_at';
    return `(
      SELECT * FROM ${one === 'active' ? active() : atRest(one)} ${start ? `WHERE (${at}, id) ${compare} ${start}` : ''}
       ORDER BY ${at} ${direction}, id ${direction} LIMIT ${limit})`;
  };
  const parts = STATUSES.filter((one) => status === undefined || status === one).map(part);
  const order = `last_message_at ${direction}, id ${direction}`;
  return manager.query<Chat[]>(
    `SELECT ${chatColumns('c')}
       FROM (SELECT * FROM (${parts.join(' UNION ALL ')}) AS chats ORDER BY ${order} LIMIT ${limit}) AS c
      ORDER BY ${order}`,
    values,
  );
}
