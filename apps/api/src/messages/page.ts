import { messageBytes, messageColumns, type MessageRow } from '#database/columns.js';
import { encodeCursor } from '../http/cursor.js';

/** Messages on a page by default. */
export const DEFAULT_PAGE = 50;

/**
 * Most text on a page, in bytes; a page has at least one message. A hundred of the longest messages would be 13 MB, held in memory until a
 * slow client has read them.
 */
const PAGE_BYTES = 1024 * 1024;

export interface MessagesPage {
  /** In chronological order. */
  readonly messages: MessageRow[];
  /** Whether there are more messages in the direction of the request. */
  readonly hasMore: boolean;
  /** Cursors for the older and the newer neighbours. */
  readonly before: string | null;
  readonly after: string | null;
  /** Whether these neighbours exist now. */
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
}

/** A row of {@link pageOf}; all null: the chat has none of these messages. */
export type PageRow = MessageRow | Record<keyof MessageRow, null>;

/**
 * SQL that follows the chat's row (`chat`) and joins, as `page`, the messages on one side of `from`, nearest first, as many as `limit` and
 * {@link PAGE_BYTES} allow.
 *
 * `seq` has no gaps, so a page is a range of the index `(chat_id, seq)`: its cost does not depend on its depth, and new messages do not
 * move it. PostgreSQL knows the size of a text without reading it.
 */
export function pageOf(chat: string, side: '<' | '>', from: string, limit: string): string {
  const order = side === '<' ? 'DESC' : 'ASC';
  return `
    LEFT JOIN LATERAL (
      SELECT m.*, row_number() OVER nearest AS rank, sum(${messageBytes('m')}) OVER nearest AS total
        FROM messages m WHERE m.chat_id = ${chat}.id AND m.seq ${side} ${from}
      WINDOW nearest AS (ORDER BY m.seq ${order} ROWS UNBOUNDED PRECEDING)
       ORDER BY m.seq ${order} LIMIT ${limit}
    ) AS page ON page.total <= ${PAGE_BYTES} OR page.rank = 1`;
}

/** The columns of {@link pageOf}, in its order. */
export const PAGE_COLUMNS = messageColumns('page');

/** The name of the list in the cursors of a chat's messages. */
export const listOf = (chatId: string): string => `messages ${chatId}`;

/**
 * Makes the page of these rows, which come nearest first: after the number `from` (`forward`), or before it. `lastSeq` is the number of the
 * chat's newest message at the time of the read.
 */
export function toPage(
  chatId: string,
  lastSeq: number,
  rows: readonly PageRow[],
  forward: boolean,
  from: number | undefined,
): MessagesPage {
  const list = listOf(chatId);
  const found = rows.filter((row): row is MessageRow => row.id !== null);
  const messages = forward ? found : found.reverse();
  const first = messages[0]?.seq ?? (forward ? (from ?? 0) + 1 : 1);
  const last = messages.at(-1)?.seq ?? (forward ? (from ?? 0) : (from ?? 1) - 1);
  const hasOlder = first > 1;
  const hasNewer = last < lastSeq;
  return {
    messages,
    hasMore: forward ? hasNewer : hasOlder,
    before: hasOlder ? encodeCursor(list, String(first)) : null,
    after: last > 0 || forward ? encodeCursor(list, String(last)) : null,
    hasOlder,
    hasNewer,
  };
}
