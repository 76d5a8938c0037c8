import type { EntityManager } from 'typeorm';
import { unfinishedOfUser } from '#database/columns.js';
import { statement, type Values } from '#database/statement.js';

/** The limits of one user; undefined: there is no limit. */
export interface UserLimits {
  /** Turns per minute. After a minute's rest the user may send all of them at once. */
  readonly turnsPerMinute: number | undefined;
  /** Unfinished turns, in all chats together. */
  readonly unfinishedTurns: number | undefined;
}

export const NO_LIMITS: UserLimits = {
  turnsPerMinute: undefined,
  unfinishedTurns: undefined,
};

/** The span of `turnsPerMinute`, in seconds. */
export const WINDOW_SECONDS = 60;

/** The share of the minute that one turn takes, in seconds. */
const spacing = ({ turnsPerMinute }: UserLimits): number =>
  turnsPerMinute === undefined ? 0 : WINDOW_SECONDS / turnsPerMinute;

/** Values for statements that take a turn ({@link takeTurn}) or find its round ({@link nextRound}). */
export function limitValues(limits: UserLimits): Values {
  return {
    spacing: spacing(limits),
    unfinishedTurns: limits.unfinishedTurns ?? null,
  };
}

/**
 * SQL: takes one turn of the user's minute (`userId`) if one is left and `worth` holds: a turn that cannot be accepted anyway costs
 * nothing. The row's lock lets a user's requests through one at a time.
 *
 * The minute follows the generic cell rate algorithm (ITU-T I.371): one timestamp per user shows how much of it is used up, and as time
 * passes it becomes free again.
 */
export function takeTurn(worth: string): string {
  const share = 'make_interval(secs => :spacing::float8)';
  return `
    INSERT INTO callers AS c (user_id, turns_until)
    SELECT :userId::text, now() + ${share}
     WHERE ${worth}
    ON CONFLICT (user_id) DO UPDATE SET turns_until = greatest(c.turns_until, now()) + ${share}
     WHERE c.turns_until + ${share} <= now() + interval '${WINDOW_SECONDS} seconds'
    RETURNING user_id, extract(epoch FROM turns_until - now())::float8 AS "usedSeconds"`;
}

/** SQL: the round of the turn that the CTE `caller` (see {@link takeTurn}) took, if the user has not too many unfinished turns. */
export const nextRound = (caller: string): string => `
    SELECT p.round, ${caller}."usedSeconds" FROM ${caller}, next_place(${caller}.user_id, coalesce(:unfinishedTurns::int, 0)) p
     WHERE :unfinishedTurns::int IS NULL OR p.unfinished < :unfinishedTurns`;

/** The rest of a user's turns. */
export interface Allowance {
  /** Turns that may be sent now. */
  readonly turns: number;
  /** Time until all of them may be sent again, in seconds. */
  readonly fullAfterSeconds: number;
}

/** The rest when `usedSeconds` of the minute are used up; undefined: turns are not counted. */
export function allowance(limits: UserLimits, usedSeconds: number): Allowance | undefined {
  if (limits.turnsPerMinute === undefined) return undefined;
  const left = (WINDOW_SECONDS - usedSeconds) / spacing(limits);
  return {
    // Slightly less than a whole turn counts as one: timestamps have microseconds.
    turns: Math.max(0, Math.floor(left + 1e-3)),
    fullAfterSeconds: Math.max(0, Math.ceil(usedSeconds)),
  };
}

/** Which limit a user has reached, and when to try again. */
export interface Reached {
  readonly limit: 'turns' | 'unfinished';
  readonly retryAfterSeconds: number;
}

/** The end of a turn cannot be predicted, so this is a guess of when another request may succeed. */
const UNFINISHED_AGAIN_SECONDS = 2;

const STANDING = statement(`
  SELECT coalesce((SELECT extract(epoch FROM turns_until - now())::float8 FROM callers WHERE user_id = :userId), 0) AS "usedSeconds",
         (SELECT count(*)::int FROM (
           SELECT FROM jobs u WHERE user_id = :userId AND ${unfinishedOfUser('u')} LIMIT coalesce(:unfinishedTurns::int, 0)) j) AS unfinished`);

/** Which limit a user has reached; undefined: none. It costs a query, so only refusals call it. */
export async function reachedLimit(
  manager: EntityManager,
  userId: string,
  limits: UserLimits,
): Promise<Reached | undefined> {
  const { unfinishedTurns } = limits;
  const [row] = await STANDING.rows<{ usedSeconds: number; unfinished: number }>(manager, {
    userId,
    ...limitValues(limits),
  });
  if (row === undefined) return undefined;
  if (unfinishedTurns !== undefined && row.unfinished >= unfinishedTurns) {
    return { limit: 'unfinished', retryAfterSeconds: UNFINISHED_AGAIN_SECONDS };
  }
  const wait = row.usedSeconds + spacing(limits) - WINDOW_SECONDS;
  return wait > 0 ? { limit: 'turns', retryAfterSeconds: Math.ceil(wait) } : undefined;
}

const GIVE_BACK = statement(
  'UPDATE callers SET turns_until = turns_until - make_interval(secs => :spacing::float8) WHERE user_id = :userId',
);

/** Gives back a turn that a request took and did not use. */
export async function giveBackTurn(manager: EntityManager, userId: string, limits: UserLimits): Promise<void> {
  if (limits.turnsPerMinute !== undefined) await GIVE_BACK.affected(manager, { userId, spacing: spacing(limits) });
}

const PURGE_CALLERS = statement(`
  DELETE FROM callers WHERE user_id IN (
    SELECT user_id FROM callers WHERE turns_until < now() LIMIT :batch FOR UPDATE SKIP LOCKED)`);

/** Removes a batch of user rates that limit nothing any more. @returns whether the batch was full */
export async function purgeCallers(manager: EntityManager, batch: number): Promise<boolean> {
  return (await PURGE_CALLERS.affected(manager, { batch })) === batch;
}
