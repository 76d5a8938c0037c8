import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { messageColumns, type MessageRow, NEXT_MOMENT } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { isKeyConflict, keepKey, KEY_IS_KEPT, keyValues, type RequestKey } from '#database/request-key.js';
import { oneRow } from '#database/rows.js';
import { type Statement, statement } from '#database/statement.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { giveBackTurn, limitValues, takeTurn } from '#limits/user-limits.js';
import type { PageQuery } from '#contract/queries.dto.js';
import type { CreateMessageRequest } from '#contract/requests.dto.js';
import { readCursor } from '../http/cursor.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { Limits } from '../limits/limits.js';
import { RowQueues } from '../limits/row-queues.js';
import { assertTakesTurns } from '../limits/takes-turns.js';
import { unlessQuicker, writeOrRefuse } from '../limits/write-or-refuse.js';
import { DEFAULT_PAGE, listOf, type MessagesPage, PAGE_COLUMNS, pageOf, type PageRow, toPage } from './page.js';

/** Reads a page of the user's chat; on an assistant's path (`assistantSlug`) only if the chat is that assistant's. */
const page = (side: '<' | '>'): Statement =>
  statement(`
  SELECT c.last_seq AS "lastSeq", ${PAGE_COLUMNS} FROM chats c ${pageOf('c', side, `coalesce(:from, ${NONE[side]})`, ':limit')}
   WHERE c.id = :chatId AND c.user_id = :userId AND (:assistantSlug::text IS NULL OR c.assistant_slug = :assistantSlug)
   ORDER BY page.rank`);

/** Where a page begins by default: after the newest message, or before the first. */
const NONE = { '<': 'c.last_seq + 1', '>': '0' } as const;

const OLDER = page('<');
const NEWER = page('>');

/**
 * The statement locks the user rate's row before the chat's row, as the acceptance of turns does. A message that is not stored does not
 * count.
 */
const TAKE = statement(
  takeTurn(
    `NOT ${KEY_IS_KEPT} AND EXISTS (SELECT FROM chats WHERE id = :chatId AND user_id = :userId AND status = 'active')`,
  ),
);

const LOCK_CHAT = statement(`
  SELECT id FROM chats
   WHERE id = :chatId AND user_id = :userId AND (:assistantSlug::text IS NULL OR assistant_slug = :assistantSlug) FOR UPDATE`);

const INSERT_MESSAGE = statement(`
  WITH chat AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT} WHERE id = :chatId
    RETURNING id, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, metadata, created_at)
    SELECT :messageId, id, last_seq, 'user', :content, :metadata, last_message_at FROM chat RETURNING *
  ), kept AS (${keepKey({ column: 'message_id', value: 'message.id', from: 'message' })}
  )
  SELECT ${messageColumns('message')} FROM message`);

/** The source and target of a message. */
export interface MessageOrigin {
  readonly userId: string;
  readonly chatId: string;
  /** Set when the message was sent to an assistant's path. */
  readonly assistantSlug: string | undefined;
  readonly requestKey: RequestKey | undefined;
}

export interface StoredMessage {
  readonly message: MessageRow;
  /** An earlier request with the same key stored it. */
  readonly replayed: boolean;
}

@Injectable()
export class MessagesService {
  constructor(
    private readonly manager: EntityManager,
    private readonly kept: KeptRequests,
    private readonly limits: Limits,
    private readonly rows: RowQueues,
  ) {}

  /**
   * A page of a caller's chat; on an assistant's path only if the chat is that assistant's. @throws ServiceError `validation_failed` (the
   * cursor), `not_found`, the same for an unknown chat and for another user's
   */
  async page(
    userId: string,
    chatId: string,
    assistantSlug: string | undefined,
    query: PageQuery,
  ): Promise<MessagesPage> {
    const forward = query.after !== undefined;
    const from = readCursor(listOf(chatId), query, readSeq);
    const rows = await (forward ? NEWER : OLDER).rows<PageRow & { lastSeq: number }>(this.manager, {
      chatId,
      userId,
      assistantSlug: assistantSlug ?? null,
      from: from ?? null,
      limit: query.limit ?? DEFAULT_PAGE,
    });
    const lastSeq = rows[0]?.lastSeq;
    if (lastSeq === undefined) throw notFound('chat');
    return toPage(chatId, lastSeq, rows, forward, from);
  }

  /**
   * Stores a user's message without asking for a reply. A request with a known key gets the message that exists.
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `idempotency_key_reused`, `rate_limited`, `unavailable`
   */
  async create(origin: MessageOrigin, body: CreateMessageRequest): Promise<StoredMessage> {
    const rows = { chat: origin.chatId, user: origin.userId };
    const store = (): Promise<StoredMessage | undefined> =>
      this.rows.run(rows, () => this.manager.transaction((manager) => this.insert(manager, origin, body)));
    return writeOrRefuse({
      // A request with the same key for another chat may be quicker. Then the next try refuses this request, unless the other was rolled
      // back.
      write: () => unlessQuicker(isKeyConflict, store),
      obstacle: () => this.limits.refusal(origin.userId, this.limits.ofStoring),
      givenUp: () =>
        new ServiceError('unavailable', 'The chat changes too fast to be written into.', {
          headers: { 'retry-after': '1' },
        }),
    });
  }

  /** @returns undefined when nothing was stored and the chat is not the reason: the user rate is used up, or was a moment ago */
  private async insert(
    manager: EntityManager,
    { userId, chatId, assistantSlug, requestKey }: MessageOrigin,
    body: CreateMessageRequest,
  ): Promise<StoredMessage | undefined> {
    const limits = this.limits.ofStoring;
    const ids = { chatId, userId, assistantSlug: assistantSlug ?? null };
    const taken = await TAKE.rows(manager, { ...ids, ...keyValues(requestKey), ...limitValues(limits) });
    // The chat's row is locked before its jobs and the keys are read, so that no turn and no request with the same key can come in between.
    const locked = await LOCK_CHAT.rows(manager, ids);
    const kept = await this.kept.find(userId, requestKey, manager);
    if (locked.length === 0) throw notFound('chat');
    if (kept !== undefined) {
      // Another request with the same key was quicker.
      if (taken.length > 0) await giveBackTurn(manager, userId, limits);
      const rows = await manager.query<MessageRow[]>(`SELECT ${messageColumns('m')} FROM messages m WHERE id = $1`, [
        kept.messageId,
      ]);
      return { message: oneRow(rows), replayed: true };
    }
    await assertTakesTurns(manager, chatId);
    if (taken.length === 0) return undefined;
    const rows = await INSERT_MESSAGE.rows<MessageRow>(manager, {
      ...ids,
      messageId: newId(),
      content: body.content,
      metadata: body.metadata ?? {},
      ...keyValues(requestKey),
    });
    return { message: oneRow(rows), replayed: false };
  }
}

/** @returns undefined for a text that is no number of a message */
function readSeq(position: string): number | undefined {
  return /^\d{1,9}$/.test(position) ? Number(position) : undefined;
}
