import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { unfinishedJob } from '#database/columns.js';
import { Chat, type ChatStatus } from '#database/entities/chat.entity.js';
import { newId } from '#database/ids.js';
import { isKeyConflict, keepKey, KEY_IS_KEPT, keyValues, type RequestKey } from '#database/request-key.js';
import { statement, type Values } from '#database/statement.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { limitValues, takeTurn } from '#limits/user-limits.js';
import type { OpenChatRequest } from '#contract/requests.dto.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { Limits } from '../limits/limits.js';
import { RowQueues } from '../limits/row-queues.js';
import { writeOrRefuse } from '../limits/write-or-refuse.js';
import { MessagesService } from '../messages/messages.service.js';
import { encodeCursor } from '../http/cursor.js';
import {
  DEFAULT_PAGE,
  listOf,
  type MessagesPage,
  PAGE_COLUMNS,
  pageOf,
  type PageRow,
  toPage,
} from '../messages/page.js';

/** The user's active chat with an assistant, on its first row only, and its newest messages. */
const FIND = statement(`
  SELECT CASE WHEN page.rank IS NULL OR page.rank = 1 THEN ${asJson('chats')} END AS chat, ${PAGE_COLUMNS}
    FROM chats ${pageOf('chats', '<', 'chats.last_seq + 1', ':limit')}
   WHERE chats.user_id = :userId AND chats.assistant_slug = :slug AND chats.status = 'active'
   ORDER BY page.rank`);

/** EXISTS would be slow: for a user with many chats, the planner expects an early hit and scans the table. */
const HAS_CHATS = '(SELECT id FROM chats WHERE user_id = :userId ORDER BY created_at LIMIT 1) IS NOT NULL';

/**
 * Creates the chat with its welcome message; no row: the user has an active chat already, or has used up the turns of the minute. A user's
 * first chat does not count as a turn, so that a user with one turn per minute can send it.
 */
const CREATE = statement(`
  WITH assistant AS (
    SELECT slug, welcome_message FROM assistants WHERE slug = :slug AND retired_at IS NULL
  ), caller AS (${takeTurn(
    `EXISTS (SELECT FROM assistant) AND ${HAS_CHATS} AND NOT ${KEY_IS_KEPT}
       AND NOT EXISTS (SELECT FROM chats WHERE user_id = :userId AND assistant_slug = :slug AND status = 'active')`,
  )}
  ), allowed AS (
    SELECT FROM caller UNION ALL SELECT WHERE NOT ${HAS_CHATS}
  ), chat AS (
    INSERT INTO chats (id, user_id, assistant_slug, status, title, metadata, last_seq)
    SELECT :chatId, :userId, slug, 'active', :title, :metadata, 1 FROM assistant, allowed
    ON CONFLICT (user_id, assistant_slug) WHERE status = 'active' DO NOTHING
    RETURNING *
  ), kept AS (${keepKey({ column: 'chat', value: 'to_jsonb(chat)', from: 'chat' })}
  ), welcome AS (
    INSERT INTO messages (id, chat_id, seq, role, content)
    SELECT :messageId, chat.id, 1, 'system', assistant.welcome_message FROM chat, assistant
  )
  SELECT to_jsonb(chat) AS chat FROM chat`);

const HOLD_ACTIVE = statement(
  `SELECT 1 FROM chats WHERE id = :id AND user_id = :userId AND status = 'active' FOR SHARE`,
);

/**
 * Stores the key of a request that found its chat, with the chat as it was found. The chat must be locked already: a statement that waits
 * for a row then sees the row's new version, but the old version of the jobs.
 */
const KEEP_FOUND = statement(`
  INSERT INTO idempotency_keys (user_id, key, fingerprint, chat, created)
  SELECT user_id, :key, :fingerprint, ${asJson('chats')}, false
    FROM chats WHERE id = :id
  ON CONFLICT DO NOTHING RETURNING chat`);

const MOST_TRIES = 5;

export interface OpenedChat {
  readonly chat: Chat;
  /** The chat's newest messages. */
  readonly page: MessagesPage;
  readonly created: boolean;
  /** An earlier request with the same key got this answer. */
  readonly replayed: boolean;
}

/** A chat, with its newest messages if they came with it. */
type Opened = Omit<OpenedChat, 'page'> & { readonly page?: MessagesPage };

/** Creates or retrieves the caller's active chat with an assistant. */
@Injectable()
export class OpenChat {
  constructor(
    private readonly manager: EntityManager,
    private readonly messages: MessagesService,
    private readonly kept: KeptRequests,
    private readonly limits: Limits,
    private readonly rows: RowQueues,
  ) {}

  /**
   * Opens the caller's active chat with the assistant, with its newest messages. If there is none it is created, with its welcome message.
   * Several requests at once make one chat: the index `chats_one_active` decides. A request with a known key gets the chat as it was at the
   * first request.
   *
   * @throws ServiceError `not_found` for an assistant that is not on offer (and no chat with it is active), `idempotency_key_reused`,
   * `rate_limited`
   */
  async open(
    userId: string,
    slug: string,
    initial: OpenChatRequest,
    requestKey: RequestKey | undefined,
  ): Promise<OpenedChat> {
    return writeOrRefuse({
      write: async () => {
        const opened = await this.tryToOpen(userId, slug, initial, requestKey);
        // Between the insert that met a chat and the read, the chat may be archived, or deleted before its messages are read.
        const page = opened && (opened.page ?? (await this.pageOf(userId, opened.chat)));
        return page && { ...opened, page };
      },
      givenUp: () =>
        new ServiceError('unavailable', 'The chat changes too fast to be opened.', { headers: { 'retry-after': '1' } }),
      tries: MOST_TRIES,
    });
  }

  /** @returns undefined when another request changed the chat, or used the key, at this moment */
  private async tryToOpen(
    userId: string,
    slug: string,
    initial: OpenChatRequest,
    requestKey: RequestKey | undefined,
  ): Promise<Opened | undefined> {
    const kept = await this.kept.find(userId, requestKey);
    if (kept?.chat) return { chat: chatOfJson(kept.chat), created: kept.created, replayed: true };
    const active = await this.find(userId, slug);
    if (active !== undefined && requestKey === undefined) return active;
    const { title = null, metadata = {} } = initial;
    const [row] =
      active !== undefined
        ? await this.keepFound(active.chat, requestKey)
        : await this.create({ userId, slug, title, metadata, ...keyValues(requestKey) });
    if (row !== undefined) return { chat: chatOfJson(row.chat), created: active === undefined, replayed: false };
    // Another request has just used the key, or created or archived the chat. Otherwise there is no such assistant.
    if (active === undefined && !(await this.isKnown(userId, slug, requestKey))) {
      if (!(await this.isOffered(slug))) throw notFound('assistant');
      const refusal = await this.limits.refusal(userId, this.limits.ofStoring);
      if (refusal !== undefined) throw refusal;
    }
    return undefined;
  }

  private async find(userId: string, slug: string): Promise<Opened | undefined> {
    const rows = await FIND.rows<PageRow & { chat: object }>(this.manager, { userId, slug, limit: DEFAULT_PAGE });
    if (rows[0] === undefined) return undefined;
    const chat = chatOfJson(rows[0].chat);
    const page = toPage(chat.id, chat.lastSeq, rows, false, undefined);
    return { chat, page, created: false, replayed: false };
  }

  /** The newest messages of the chat as given. @returns undefined when it was deleted since */
  private async pageOf(userId: string, { id, lastSeq }: Chat): Promise<MessagesPage | undefined> {
    const before = encodeCursor(listOf(id), String(lastSeq + 1));
    return this.messages.page(userId, id, undefined, { before }).catch((error: unknown) => {
      if (error instanceof ServiceError && error.code === 'not_found') return undefined;
      throw error;
    });
  }

  /** @returns undefined when the chat is no longer active, or another request has stored the key */
  private keepFound({ id, userId }: Chat, requestKey: RequestKey | undefined): Promise<{ chat: object }[]> {
    return this.rows.run({ chat: id }, () =>
      this.manager.transaction(async (manager) => {
        const held = await HOLD_ACTIVE.rows(manager, { id, userId });
        return held.length === 0 ? [] : KEEP_FOUND.rows<{ chat: object }>(manager, { id, ...keyValues(requestKey) });
      }),
    );
  }

  /** @returns undefined when a chat exists, or another request has stored the key */
  private async create(values: Values & { userId: string }): Promise<{ chat: object }[]> {
    try {
      const all = { ...values, chatId: newId(), messageId: newId(), ...limitValues(this.limits.ofStoring) };
      return await this.rows.run({ user: values.userId }, () => CREATE.rows<{ chat: object }>(this.manager, all));
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
}

/** SQL: a chat's row as JSON, with the job of its turn in flight. */
function asJson(chat: string): string {
  return `to_jsonb(${chat}) || jsonb_build_object('unfinished_job_id', (${unfinishedJob(chat)}))`;
}

/** Makes the entity of a row in JSON (see {@link asJson}), just read or stored with a key. The row has column names, and times as text. */
function chatOfJson(row: object): Chat {
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
