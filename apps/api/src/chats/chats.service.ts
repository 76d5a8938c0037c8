import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { unfinishedJob } from '#database/columns.js';
import { Chat, type ChatStatus } from '#database/entities/chat.entity.js';
import { isId, newId } from '#database/ids.js';
import { isKeyConflict, keepKey, keyIsKept, keyValues, type RequestKey } from '#database/request-key.js';
import { oneRow } from '#database/rows.js';
import { invalidField, notFound, ServiceError } from '#errors/service-error.js';
import { isStoreAway } from '#errors/store-away.js';
import { clear, isUncleared } from '#jobs/clear.js';
import { takeTurn, takeValues } from '#jobs/limits.js';
import { release, settled } from '#jobs/release.js';
import type { ChatsQuery } from '#contract/queries.dto.js';
import type { OpenChatRequest, UpdateChatRequest } from '#contract/requests.dto.js';
import { decodeCursor, encodeCursor } from '../http/cursor.js';
import type { Preconditions } from '../http/preconditions.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { Limits } from '../limits/limits.js';
import { presentChat } from './present-chat.js';

const HAS_CHATS = 'EXISTS (SELECT FROM chats WHERE user_id = $1)';

/**
 * The chat and its welcome message, or nothing when the caller has an active chat already, or has used up their minute. A user's first
 * chat is free: whoever may send one turn a minute must be able to.
 */
const CREATE = `
  WITH assistant AS (
    SELECT slug, welcome_message FROM assistants WHERE slug = $2 AND retired_at IS NULL
  ), caller AS (${takeTurn(
    { user: 1, limits: 9 },
    `EXISTS (SELECT FROM assistant) AND ${HAS_CHATS} AND NOT ${keyIsKept(1, 7)}
       AND NOT EXISTS (SELECT FROM chats WHERE user_id = $1 AND assistant_slug = $2 AND status = 'active')`,
  )}
  ), allowed AS (
    SELECT FROM caller UNION ALL SELECT WHERE NOT ${HAS_CHATS}
  ), chat AS (
    INSERT INTO chats (id, user_id, assistant_slug, status, title, metadata, last_seq)
    SELECT $3, $1, slug, 'active', $4, $5, 1 FROM assistant, allowed
    ON CONFLICT (user_id, assistant_slug) WHERE status = 'active' DO NOTHING
    RETURNING *
  ), kept AS (${keepKey({ user: 1, key: 7 }, { column: 'chat', value: 'to_jsonb(chat)', from: 'chat' })}
  ), welcome AS (
    INSERT INTO messages (id, chat_id, seq, role, content)
    SELECT $6, chat.id, 1, 'system', assistant.welcome_message FROM chat, assistant
  )
  SELECT to_jsonb(chat) AS chat FROM chat`;

const HOLD_ACTIVE = `SELECT 1 FROM chats WHERE id = $1 AND user_id = $2 AND status = 'active' FOR SHARE`;

/**
 * Keeps the key of a request that found its chat, and the chat as it was found. The chat must be held already: a statement that waits for
 * a row sees that row as it is then, and the jobs as they were before.
 */
const KEEP_FOUND = `
  INSERT INTO idempotency_keys (user_id, key, fingerprint, chat, created)
  SELECT user_id, $2, $3, to_jsonb(chats) || jsonb_build_object('unfinished_job_id', (${unfinishedJob('chats')})), false
    FROM chats WHERE id = $1
  ON CONFLICT DO NOTHING RETURNING chat`;

const LOCK = `SELECT 1 FROM chats WHERE id = $1 AND user_id = $2 FOR UPDATE`;

const UPDATE = `
  WITH chat AS (
    UPDATE chats SET status = $2, title = $3, metadata = $4, updated_at = greatest(updated_at, clock_timestamp()) WHERE id = $1
    RETURNING metadata, updated_at
  )
  SELECT metadata, updated_at AS "updatedAt" FROM chat`;

/** From → to; the same status again is no transition and always fine. */
const TRANSITIONS: Readonly<Record<ChatStatus, readonly ChatStatus[]>> = {
  active: ['archived', 'closed'],
  archived: ['active', 'closed'],
  closed: [],
};

const DEFAULT_PAGE = 20;

/** How long a request that deletes a chat removes its rows itself, in milliseconds; a worker removes what is left. */
const CLEARING_MS = 5_000;
const LOOK_MS = 50;

export interface OpenedChat {
  readonly chat: Chat;
  readonly created: boolean;
  /** It is the answer of an earlier request with the same key. */
  readonly replayed: boolean;
}

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
    private readonly kept: KeptRequests,
    private readonly limits: Limits,
  ) {}

  /**
   * The caller's active chat with the assistant; created, with its welcome message, when there is none.
   * Many at once make one chat: the index `chats_one_active` decides. A request whose key is known gets the chat of then, as
   * it was then.
   * @throws ServiceError `not_found` for an assistant that is not on offer (and no chat with it is active),
   * `idempotency_key_reused`, `rate_limited`
   */
  async open(
    userId: string,
    slug: string,
    initial: OpenChatRequest,
    requestKey: RequestKey | undefined,
  ): Promise<OpenedChat> {
    // Between the insert that met a chat and the look at it, that chat may be archived: then once more.
    for (let tries = 0; tries < 5; tries++) {
      const kept = await this.kept.find(userId, requestKey);
      if (kept?.chat) return { chat: chatAsKept(kept.chat), created: kept.created, replayed: true };
      const active = await this.manager.findOneBy(Chat, { userId, assistantSlug: slug, status: 'active' });
      if (active !== null && requestKey === undefined) return { chat: active, created: false, replayed: false };
      const { title = null, metadata = {} } = initial;
      const [row] =
        active !== null
          ? await this.keepFound(active, requestKey)
          : await this.create([userId, slug, newId(), title, metadata, newId(), ...keyValues(requestKey)]);
      if (row !== undefined) return { chat: chatAsKept(row.chat), created: active === null, replayed: false };
      // There is a twin by now, or a chat; or it was archived in this moment. Else there is no such assistant.
      if (active === null && !(await this.isKnown(userId, slug, requestKey))) {
        if (!(await this.isOffered(slug))) throw notFound('assistant');
        const refusal = await this.limits.refusal(userId, this.limits.ofStoring);
        if (refusal !== undefined) throw refusal;
      }
    }
    throw new ServiceError('unavailable', 'The chat changes too fast to be opened.', {
      headers: { 'retry-after': '1' },
    });
  }

  /** @returns nothing when the chat is no longer active, or there is the key of a twin, by now */
  private keepFound({ id, userId }: Chat, requestKey: RequestKey | undefined): Promise<{ chat: object }[]> {
    return this.manager.transaction(async (manager) => {
      const held = await manager.query<unknown[]>(HOLD_ACTIVE, [id, userId]);
      return held.length === 0 ? [] : manager.query(KEEP_FOUND, [id, ...keyValues(requestKey)]);
    });
  }

  /** @returns nothing when there is a chat, or the key of a twin, by now */
  private async create(values: unknown[]): Promise<{ chat: object }[]> {
    try {
      return await this.manager.query<{ chat: object }[]>(CREATE, [...values, ...takeValues(this.limits.ofStoring)]);
    } catch (error) {
      if (isKeyConflict(error)) return [];
      throw error;
    }
  }

  private async isOffered(slug: string): Promise<boolean> {
    const rows = await this.manager.query<unknown[]>(
      'SELECT 1 FROM assistants WHERE slug = $1 AND retired_at IS NULL',
      [slug],
    );
    return rows.length > 0;
  }

  private async isKnown(userId: string, slug: string, requestKey: RequestKey | undefined): Promise<boolean> {
    if ((await this.kept.find(userId, requestKey)) !== undefined) return true;
    return this.manager.existsBy(Chat, { userId, assistantSlug: slug, status: 'active' });
  }

  /**
   * A chat of the caller's; by an assistant's own paths only if it is that assistant's.
   * @throws ServiceError `not_found`, the same for unknown and for somebody else's.
   */
  async get(userId: string, chatId: string, assistantSlug?: string): Promise<Chat> {
    const chat = await this.manager.findOneBy(Chat, { id: chatId, userId, ...(assistantSlug && { assistantSlug }) });
    if (chat === null) throw notFound('chat');
    return chat;
  }

  /** The caller's chats, newest activity first. */
  async list(userId: string, query: ChatsQuery): Promise<ChatsPage> {
    if (query.before !== undefined && query.after !== undefined) {
      throw invalidField('after', 'cannot be combined with before');
    }
    const limit = query.limit ?? DEFAULT_PAGE;
    const list = `chats ${userId} ${query.assistant ?? ''} ${query.status ?? ''}`;
    const forward = query.after !== undefined;
    const select = this.manager
      .createQueryBuilder(Chat, 'chat')
      .where('chat.userId = :userId', { userId })
      .orderBy('chat.lastMessageAt', forward ? 'ASC' : 'DESC')
      .addOrderBy('chat.id', forward ? 'ASC' : 'DESC')
      .take(limit + 1);
    if (query.assistant !== undefined) select.andWhere('chat.assistantSlug = :slug', { slug: query.assistant });
    if (query.status !== undefined) select.andWhere('chat.status = :status', { status: query.status });
    const cursor = query.before ?? query.after;
    if (cursor !== undefined) {
      const { at, id } = readPosition(decodeCursor(list, cursor, forward ? 'after' : 'before'), forward);
      select.andWhere(`(chat.lastMessageAt, chat.id) ${forward ? '>' : '<'} (:at::timestamptz, :id::uuid)`, { at, id });
    }
    const rows = await select.getMany();
    const hasMore = rows.length > limit;
    const chats = rows.slice(0, limit);
    if (forward) chats.reverse();
    const position = (chat: Chat | undefined): string | null =>
      chat ? encodeCursor(list, `${chat.lastMessageAt.toISOString()} ${chat.id}`) : null;
    return {
      chats,
      hasMore,
      before: forward || hasMore ? position(chats.at(-1)) : null,
      // An empty page after a cursor gives the cursor back, to ask again later.
      after: position(chats[0]) ?? query.after ?? null,
    };
  }

  /**
   * Changes status, title or metadata.
   * @throws ServiceError `not_found`, `precondition_failed`, `invalid_transition`, `validation_failed` (nothing asked).
   */
  async update(userId: string, chatId: string, change: UpdateChatRequest, preconditions: Preconditions): Promise<Chat> {
    if (change.status === undefined && change.title === undefined && change.metadata === undefined) {
      throw new ServiceError('validation_failed', 'The request names nothing to change.');
    }
    try {
      return await this.manager.transaction(async (manager) => {
        const chat = await this.lock(manager, userId, chatId, preconditions);
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
        // PostgreSQL keeps the keys of `metadata` in an order of its own, and the ETag must be that of the next read.
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
   * Deletes a chat with all that is in it. When this returns, nobody finds anything of it any more, a turn that was in flight is
   * canceled, and, unless there was very much of them, its rows are gone.
   * @throws ServiceError `not_found`, `precondition_failed`
   */
  async delete(userId: string, chatId: string, preconditions: Preconditions): Promise<void> {
    const { endedJobs } = await this.manager.transaction(async (manager) => {
      await this.lock(manager, userId, chatId, preconditions);
      return release(manager, [chatId]);
    });
    const deadline = Date.now() + CLEARING_MS;
    try {
      await settled(this.manager, endedJobs);
      while (Date.now() < deadline && (await isUncleared(this.manager, chatId))) {
        // A worker may have come first.
        if (!(await clear(this.manager, { chatId }))) await sleep(LOOK_MS);
      }
    } catch (error) {
      // The chat is gone, and its rows will be, whatever became of the store since.
      if (!isStoreAway(error)) throw error;
    }
  }

  /** The chat, locked, then read: what the wait for the lock let pass is seen, also in its jobs. */
  private async lock(
    manager: EntityManager,
    userId: string,
    chatId: string,
    preconditions: Preconditions,
  ): Promise<Chat> {
    await manager.query(LOCK, [chatId, userId]);
    const chat = await manager.findOneBy(Chat, { id: chatId, userId });
    if (chat === null) throw notFound('chat');
    preconditions.assertMayChange(presentChat(chat));
    return chat;
  }
}

/** The entity of a row that is kept as JSON: by column, with moments as text. */
function chatAsKept(row: object): Chat {
  const kept = row as Record<string, unknown>;
  const moment = (column: string): Date => new Date(kept[column] as string);
  return {
    id: kept['id'] as string,
    userId: kept['user_id'] as string,
    releasedFrom: null,
    assistantSlug: kept['assistant_slug'] as string,
    status: kept['status'] as ChatStatus,
    title: kept['title'] as string | null,
    metadata: kept['metadata'] as Record<string, string>,
    lastSeq: kept['last_seq'] as number,
    createdAt: moment('created_at'),
    updatedAt: moment('updated_at'),
    lastMessageAt: moment('last_message_at'),
    // A chat that was just created has none.
    unfinishedJobId: (kept['unfinished_job_id'] as string | null | undefined) ?? null,
  };
}

/** Four digits of year: what JavaScript can date and PostgreSQL cannot has more. */
const MOMENT = /^[1-9]\d{3}-/;

function readPosition(position: string, forward: boolean): { at: string; id: string } {
  const [at = '', id = ''] = position.split(' ');
  // The checksum is no secret, so a made-up position can get this far.
  if (!MOMENT.test(at) || Number.isNaN(Date.parse(at)) || new Date(at).toISOString() !== at || !isId(id))
    throw invalidField(forward ? 'after' : 'before', 'is not a cursor of this list');
  return { at, id };
}
