import type { EntityManager } from 'typeorm';
import { isUnfinished, jobColumns, type JobRow, type MessageRow, NEXT_MOMENT } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { breaks, isKeyConflict, keepKey, KEY_IS_KEPT, keyValues, type RequestKey } from '#database/request-key.js';
import { type Statement, statement } from '#database/statement.js';
import {
  type Budgets,
  budgetValues,
  type Exhausted,
  EXHAUSTED,
  exhaustion,
  hasBudgets,
  NO_BUDGETS,
} from '#limits/budgets.js';
import {
  type Allowance,
  allowance,
  giveBackTurn,
  limitValues,
  nextRound,
  NO_LIMITS,
  takeTurn,
  type UserLimits,
} from '#limits/user-limits.js';
import { takeInAgain } from './history.js';
import { MAX_ATTEMPTS } from './timings.js';

export interface NewTurn {
  readonly jobId: string;
  readonly chatId: string;
  readonly userId: string;
  /** Set when the turn was sent to an assistant's path. The chat must then be that assistant's. */
  readonly assistantSlug: string | undefined;
  readonly content: string;
  readonly metadata: Record<string, string>;
  readonly requestId: string;
  /** The trace context of the request (W3C Trace Context); null: no traces are kept. */
  readonly traceparent?: string | null;
  /** Stored with the turn, so that a request that comes twice is accepted once. */
  readonly requestKey: RequestKey | undefined;
}

export interface AcceptedReply {
  readonly job: JobRow;
  /** How many turns the user may still send; undefined: they are not counted. */
  readonly allowance: Allowance | undefined;
}

export interface AcceptedTurn extends AcceptedReply {
  readonly userMessage: MessageRow;
}

interface Used {
  /** How much of the user's minute is used up, in seconds. */
  readonly usedSeconds: number;
}

type AcceptedRow = JobRow & Pick<MessageRow, 'seq' | 'metadata'> & { messageCreatedAt: Date } & Used;

const HAS_UNFINISHED = `SELECT 1 FROM jobs u WHERE u.chat_id = chats.id AND ${isUnfinished('u')}`;

/*
 * The lock order is caller, chat, an assistant's budget, job. The caller's row comes first because a refused turn must not advance the chat's
 * numbers, and because under its lock the statement sees how much the user's other turns have used. Other turns with the assistant wait for
 * its budget, so this statement waits for nothing else once it has the budget.
 */

/**
 * A statement that accepts a job, with budgets and without. A single text could skip the check (`:tokensPerDay IS NULL OR …`), but turns
 * without budgets would pay for it, and PostgreSQL would plan it anew for each turn, which costs as much as the run.
 */
interface Accepting {
  readonly budgeted: Statement;
  readonly plain: Statement;
}

/** `text` gets a function that keeps a part only in the text with budgets. */
const accepting = (text: (ifBudgeted: (part: string) => string) => string): Accepting => ({
  budgeted: statement(text((part) => part)),
  plain: statement(text(() => '')),
});

const fit = (accepting: Accepting, budgets: Budgets): Statement =>
  hasBudgets(budgets) ? accepting.budgeted : accepting.plain;

/**
 * SQL: the CTE `reserve`, what the turn reserves, or the budget that has no room for it. The statement must have locked the row `chat`,
 * since other turns with the assistant wait while it goes on.
 * @param moreBytes SQL: the bytes of the prompt that are not stored yet
 */
const reserve = (chat: string, moreBytes: string): string =>
  `reserve AS (
    SELECT r.* FROM ${chat}, reserve_turn(:userId::text, ${chat}.id, ${moreBytes}, :tokensPerDay::bigint, :costPerDay::numeric) r
  ), `;
const FITS = 'reserve.exhausted IS NULL';
const RESERVE_COLUMNS = ', reserved_tokens, reserved_cost, budget_of';
const RESERVE_VALUES = ', reserve.tokens, reserve.cost, reserve.of_assistant';

/** SQL: the version of the definition that is current for a row of `chats`. */
const CURRENT_VERSION = (chat: string): string =>
  `(SELECT a.version FROM assistants a WHERE a.slug = ${chat}.assistant_slug)`;

/** SQL: the chat of a turn can take it. */
const TAKES_TURN = `id = :chatId AND user_id = :userId AND (:assistantSlug::text IS NULL OR assistant_slug = :assistantSlug)
       AND status = 'active' AND NOT EXISTS (${HAS_UNFINISHED})`;

const ACCEPT_TURN = accepting(
  (ifBudgeted) => `
  WITH caller AS (${takeTurn(`NOT ${KEY_IS_KEPT} AND EXISTS (SELECT FROM chats WHERE ${TAKES_TURN})`)}
  ), place AS (${nextRound('caller')}
  ), ${ifBudgeted(`locked AS (
    SELECT chats.id FROM place, chats WHERE ${TAKES_TURN} FOR NO KEY UPDATE OF chats
  ), ${reserve('locked', 'octet_length(:content::text)')}`)}chat AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM place${ifBudgeted(', reserve')}
     WHERE ${ifBudgeted(`${FITS} AND `)}${TAKES_TURN}
    RETURNING id, ${CURRENT_VERSION('chats')} AS assistant_version, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, metadata, created_at)
    SELECT :messageId, id, last_seq, 'user', :content, :metadata, last_message_at FROM chat
    RETURNING id, chat_id, seq, metadata, created_at
  ), job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, assistant_version, user_message_id, request_id, traceparent, attempts_left,
                      round${ifBudgeted(RESERVE_COLUMNS)})
    SELECT :jobId, 'assistant-reply', 'queued', chat.id, :userId, chat.assistant_version, :messageId, :requestId, :traceparent,
           ${MAX_ATTEMPTS}, round${ifBudgeted(RESERVE_VALUES)}
      FROM chat, place${ifBudgeted(', reserve')}
    RETURNING *
  ), kept AS (${keepKey({ column: 'job_id', value: 'job.id', from: 'job' })}
  )
  SELECT message.seq, message.metadata, message.created_at AS "messageCreatedAt", place."usedSeconds", ${jobColumns('job')}${ifBudgeted(`,
         ${EXHAUSTED}`)}
    FROM ${ifBudgeted('reserve LEFT JOIN (')}message CROSS JOIN job CROSS JOIN place${ifBudgeted(') ON true')}`,
);

/**
 * Accepts a turn: the user's message and the job for its reply, in one statement and so in one transaction.
 *
 * If two turns for one chat come at the same moment, the later one waits for the chat's row. Then it sees the earlier turn's job, or breaks
 * the index `jobs_one_unfinished` or the keys' index (see {@link isConflict}).
 *
 * @returns undefined when the chat cannot take a turn, the user has reached a limit, or the request's key is stored already. The caller
 * finds out which of these it was; that costs accepted turns nothing
 * @throws BudgetExhausted
 */
export async function acceptTurn(
  manager: EntityManager,
  turn: NewTurn,
  limits = NO_LIMITS,
  budgets = NO_BUDGETS,
): Promise<AcceptedTurn | undefined> {
  const messageId = newId();
  const [answer] = await fit(ACCEPT_TURN, budgets).rows<AcceptedRow & Exhausted>(
    manager,
    turn,
    { messageId, assistantSlug: null, traceparent: null },
    keyValues(turn.requestKey),
    limitValues(limits),
    budgetValues(budgets),
  );
  if (answer === undefined) return undefined;
  const { seq, metadata, messageCreatedAt, usedSeconds, exhausted, byReserves, resetsAt, untilReset, ...job } = answer;
  // The text without budgets has no such column.
  if (exhausted) {
    await giveBackTurn(manager, turn.userId, limits);
    throw exhaustion({ exhausted, byReserves, resetsAt, untilReset });
  }
  const userMessage: MessageRow = {
    id: messageId,
    chatId: turn.chatId,
    seq,
    role: 'user',
    content: turn.content,
    parts: null,
    status: 'complete',
    metadata,
    jobId: null,
    model: null,
    assistantVersion: null,
    stopReason: null,
    stopDetails: null,
    leftOutBy: null,
    inputTokens: null,
    outputTokens: null,
    cacheReadTokens: null,
    cacheWriteTokens: null,
    thinkingTokens: null,
    cost: null,
    usageEstimated: false,
    createdAt: messageCreatedAt,
  };
  return { userMessage, job, allowance: allowance(limits, usedSeconds) };
}

const LOCK_CHAT = statement(`
  WITH caller AS (${takeTurn(`EXISTS (SELECT FROM chats WHERE id = :chatId AND user_id = :userId)`)}
  )
  SELECT caller."usedSeconds" FROM caller, chats WHERE chats.id = :chatId FOR UPDATE OF chats`);

const ACCEPT_REPLY = accepting(
  (ifBudgeted) => `
  WITH caller AS (SELECT :userId::text AS user_id, 0 AS "usedSeconds"
  ), place AS (${nextRound('caller')}
  ), chat AS (
    SELECT chats.id, assistant_slug, m.id AS message_id FROM chats
      JOIN messages m ON m.chat_id = chats.id AND m.seq = chats.last_seq AND m.role = 'user'
     WHERE chats.id = :chatId AND user_id = :userId AND chats.status = 'active' AND NOT EXISTS (${HAS_UNFINISHED}) AND NOT ${KEY_IS_KEPT}
  ), ${ifBudgeted(`asked AS (SELECT chat.id FROM place, chat
  ), ${reserve('asked', '0')}`)}job AS (
    INSERT INTO jobs (id, type, status, chat_id, user_id, assistant_version, user_message_id, request_id, traceparent, attempts_left,
                      round${ifBudgeted(RESERVE_COLUMNS)})
    SELECT :jobId, 'assistant-reply', 'queued', chat.id, :userId, ${CURRENT_VERSION('chat')}, chat.message_id, :requestId, :traceparent,
           ${MAX_ATTEMPTS}, place.round${ifBudgeted(RESERVE_VALUES)}
      FROM place, chat${ifBudgeted(`, reserve WHERE ${FITS}`)}
    RETURNING *
  ), taken_in AS (${takeInAgain('job')}
  ), kept AS (${keepKey({ column: 'job_id', value: 'job.id', from: 'job' })}
  )
  SELECT ${jobColumns('job')}${ifBudgeted(`,
         ${EXHAUSTED}`)}
    FROM ${ifBudgeted('reserve LEFT JOIN ')}job${ifBudgeted(' ON true')}`,
);

/** Rolls back a transaction that accepted nothing, so that it uses up none of the user's turns. */
class NothingAccepted extends Error {}

/**
 * Accepts a job that answers the user messages stored so far.
 *
 * It locks the caller and the chat first, and reads them with a second statement. The second statement sees changes made during the wait
 * for the locks: another message, another job, the closing or the deletion of the chat.
 *
 * @returns undefined when the chat is not active, has a turn in flight, or its newest message is not the user's; when the user has reached
 * a limit; or when the request's key is stored already
 * @throws BudgetExhausted
 */
export async function acceptReply(
  manager: EntityManager,
  reply: Pick<NewTurn, 'jobId' | 'chatId' | 'userId' | 'requestId' | 'traceparent' | 'requestKey'>,
  limits: UserLimits = NO_LIMITS,
  budgets: Budgets = NO_BUDGETS,
): Promise<AcceptedReply | undefined> {
  const { requestKey, traceparent = null, ...ids } = reply;
  const values = { ...ids, traceparent, ...keyValues(requestKey), ...limitValues(limits), ...budgetValues(budgets) };
  try {
    return await manager.transaction(async (inside) => {
      const [taken] = await LOCK_CHAT.rows<Used>(inside, values);
      if (taken === undefined) throw new NothingAccepted();
      const [answer] = await fit(ACCEPT_REPLY, budgets).rows<JobRow & Exhausted>(inside, values);
      if (answer === undefined) throw new NothingAccepted();
      const { exhausted, byReserves, resetsAt, untilReset, ...job } = answer;
      // The transaction is rolled back, so the user's minute is as it was.
      if (exhausted) throw exhaustion({ exhausted, byReserves, resetsAt, untilReset });
      return { job, allowance: allowance(limits, taken.usedSeconds) };
    });
  } catch (error) {
    if (error instanceof NothingAccepted) return undefined;
    throw error;
  }
}

/** Whether a statement failed because another request was quicker: one for the same chat, or one with the same key. */
export function isConflict(error: unknown): boolean {
  return breaks(error, 'jobs_one_unfinished') || isKeyConflict(error);
}

/** The row as it was when the job was accepted. Its changing fields have these first values. */
export function asAccepted(job: JobRow): JobRow {
  return {
    ...job,
    status: 'queued',
    attempts: 0,
    step: 0,
    actionSince: null,
    actionExpiresAt: null,
    waitedSeconds: 0,
    startedAt: null,
    finishedAt: null,
    errorCode: null,
    errorMessage: null,
  };
}
