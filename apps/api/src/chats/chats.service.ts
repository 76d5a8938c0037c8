import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { chatColumns } from '#database/columns.js';
import type { Chat, ChatStatus } from '#database/entities/chat.entity.js';
import { oneRow } from '#database/rows.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { isStoreAway } from '#errors/store-away.js';
import { clear, isUncleared } from '#erasure/clear.js';
import { afterRelease, release } from '#erasure/release.js';
import type { ChatsQuery } from '#contract/queries.dto.js';
import type { UpdateChatRequest } from '#contract/requests.dto.js';
import { encodeCursor, readCursor } from '../http/cursor.js';
import { readPageStart, writePageStart } from '../http/page-start.js';
import type { Preconditions } from '../http/preconditions.js';
import { RowQueues } from '../limits/row-queues.js';
import { readChats } from './chats-list.js';
import { presentChat } from './present-chat.js';

const GET = `
  SELECT ${chatColumns('c')} FROM chats c WHERE c.id = $1 AND c.user_id = $2 AND ($3::text IS NULL OR c.assistant_slug = $3)`;

const LOCK = `SELECT 1 FROM chats WHERE id = $1 AND user_id = $2 FOR UPDATE`;

const UPDATE = `
  WITH chat AS (
    UPDATE chats SET status = $2, title = $3, metadata = $4, updated_at = greatest(updated_at, clock_timestamp()) WHERE id = $1
    RETURNING metadata, updated_at
  )
  SELECT metadata, updated_at AS "updatedAt" FROM chat`;

/** From → to. The same status again is no transition, and always allowed. */
const TRANSITIONS: Readonly<Record<ChatStatus, readonly ChatStatus[]>> = {
  active: ['archived', 'closed'],
  archived: ['active', 'closed'],
  closed: [],
};

const DEFAULT_PAGE = 20;

/** How long a request that deletes a chat clears its rows, in milliseconds. A worker clears the rest. */
const CLEARING_MS = 5_000;
const RETRY_MS = 50;

export interface ChatsPage {
  readonly chats: Chat[];
  readonly hasMore: boolean;
  readonly before: string | null;
  readonly after: string | null;
}

@Injectable()
export class ChatsService {
  constructor(
    private readonly manager: EntityManager,
    private readonly rows: RowQueues,
  ) {}

  /**
   * Reads a chat of the caller's; on an assistant's path only if it is that assistant's. @throws ServiceError `not_found`, the same for an
   * unknown chat and for another user's
   */
  async get(userId: string, chatId: string, assistantSlug?: string): Promise<Chat> {
    const [chat] = await this.manager.query<Chat[]>(GET, [chatId, userId, assistantSlug ?? null]);
    if (chat === undefined) throw notFound('chat');
    return chat;
  }

  /** The caller's chats, newest activity first. */
  async list(userId: string, query: ChatsQuery): Promise<ChatsPage> {
    const limit = query.limit ?? DEFAULT_PAGE;
    const list = `chats ${userId} ${query.assistant ?? ''} ${query.status ?? ''}`;
    const forward = query.after !== undefined;
    const from = readCursor(list, query, readPageStart);
    const rows = await readChats(this.manager, userId, query, forward, from, limit + 1);
    const hasMore = rows.length > limit;
    const chats = rows.slice(0, limit);
    if (forward) chats.reverse();
    const cursorOf = (chat: Chat | undefined): string | null =>
      chat ? encodeCursor(list, writePageStart(chat.lastMessageAt, chat.id)) : null;
    return {
      chats,
      hasMore,
      before: forward || hasMore ? cursorOf(chats.at(-1)) : null,
      // An empty page after a cursor returns the cursor, to ask again later.
      after: cursorOf(chats[0]) ?? query.after ?? null,
    };
  }

  /**
   * Changes status, title or metadata. `present` makes the representation that the preconditions compare.
   * @throws ServiceError `not_found`, `precondition_failed`, `invalid_transition`, `validation_failed` (no change is given)
   */
  async update(
    userId: string,
    chatId: string,
    change: UpdateChatRequest,
    preconditions: Preconditions,
    present: (chat: Chat) => object = presentChat,
  ): Promise<Chat> {
    if (change.status === undefined && change.title === undefined && change.metadata === undefined) {
      throw new ServiceError('validation_failed', 'The request names nothing to change.');
    }
    try {
      return await this.transaction(chatId, async (manager) => {
        const chat = await this.lock(manager, userId, chatId, preconditions, present);
        const { status = chat.status, title = chat.title, metadata = chat.metadata } = change;
        if (status !== chat.status && !TRANSITIONS[chat.status].includes(status)) {
          throw new ServiceError('invalid_transition', `A chat that is ${chat.status} cannot become ${status}.`);
        }
        if (isDeepStrictEqual([status, title, metadata], [chat.status, chat.title, chat.metadata])) return chat;
        const rows = await manager.query<Pick<Chat, 'metadata' | 'updatedAt'>[]>(UPDATE, [
          chatId,
          status,
          title,
          metadata,
        ]);
        // PostgreSQL reorders the keys of `metadata`, and the ETag must equal that of the next read.
        return { ...chat, status, title, ...oneRow(rows) };
      });
    } catch (error) {
      const driver = (error as { driverError?: { constraint?: string } }).driverError;
      if (driver?.constraint !== 'chats_one_active') throw error;
      throw new ServiceError('invalid_transition', 'There is another active chat with this assistant.', {
        cause: error,
      });
    }
  }

  /**
   * Deletes a chat. When this returns, no request finds the chat, its turn in flight is canceled, and its rows are deleted, unless there
   * are very many.
   * @throws ServiceError `not_found`, `precondition_failed`
   */
  async delete(userId: string, chatId: string, preconditions: Preconditions): Promise<void> {
    const released = await this.transaction(chatId, async (manager) => {
      await this.lock(manager, userId, chatId, preconditions);
      return release(manager, [chatId]);
    });
    const deadline = Date.now() + CLEARING_MS;
    try {
      await afterRelease(this.manager, released);
      while (Date.now() < deadline && (await isUncleared(this.manager, chatId))) {
        // A worker may hold the rows.
        if (!(await clear(this.manager, { chatId }))) await sleep(RETRY_MS);
      }
    } catch (error) {
      // The chat is released, and a worker clears its rows later, even if the database is away now.
      if (!isStoreAway(error)) throw error;
    }
  }

  private transaction<T>(chat: string, write: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.run({ chat }, () => this.manager.transaction(write));
  }

  /** Locks the chat, then reads it. So the read sees the changes during the wait for the lock, also those of the chat's jobs. */
  private async lock(
    manager: EntityManager,
    userId: string,
    chatId: string,
    preconditions: Preconditions,
    present: (chat: Chat) => object = presentChat,
  ): Promise<Chat> {
    await manager.query(LOCK, [chatId, userId]);
    const [chat] = await manager.query<Chat[]>(GET, [chatId, userId, null]);
    if (chat === undefined) throw notFound('chat');
    preconditions.assertMayChange(present(chat));
    return chat;
  }
}
