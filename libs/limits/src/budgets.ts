import type { Values } from '#database/statement.js';

/*
 * Budgets of a day, from midnight to midnight (UTC). A turn reserves what it may use when it is accepted: the prompt, as the model counted
 * the last one, and the longest reply. The reserve is in columns of the job, and counts while the job is unfinished. So every end of a job
 * frees it, and what the calls have used is in the ledger. The function `reserve_turn` decides; see the migration that makes it.
 */

/** The budgets for a turn; undefined: there is none. */
export interface Budgets {
  /** Tokens of the model that a user may use, input and output. */
  readonly tokensPerDay: number | undefined;
  /** The most that a user's calls may cost, in the currency of the prices. */
  readonly costPerDay: number | undefined;
  /** Assistants may have budgets of their own, which their rows have. */
  readonly ofAssistants: boolean;
}

export const NO_BUDGETS: Budgets = { tokensPerDay: undefined, costPerDay: undefined, ofAssistants: false };

/** The names of budgets, in the order in which a turn is checked. */
export const BUDGETS = ['user_tokens', 'user_cost', 'assistant_cost'] as const;
export type Budget = (typeof BUDGETS)[number];

/** Whether a turn must be checked. */
export function hasBudgets({ tokensPerDay, costPerDay, ofAssistants }: Budgets): boolean {
  return tokensPerDay !== undefined || costPerDay !== undefined || ofAssistants;
}

/** Values for statements that check a turn. */
export function budgetValues({ tokensPerDay, costPerDay }: Budgets): Values {
  return { tokensPerDay: tokensPerDay ?? null, costPerDay: costPerDay ?? null };
}

/** SQL: midnight (UTC), when all budgets are new. */
export const MIDNIGHT = `(this_day() + interval '1 day')`;

/** The columns of a refused turn; an accepted turn has null in each. */
export interface Exhausted {
  readonly exhausted: Budget | null;
  readonly byReserves: boolean | null;
  readonly resetsAt: Date | null;
  readonly untilReset: number | null;
}

/** SQL, for a select list: the columns of {@link Exhausted}, from the row `reserve` of the function `reserve_turn`. */
export const EXHAUSTED = `reserve.exhausted, reserve.by_reserves AS "byReserves",
         CASE WHEN reserve.exhausted IS NOT NULL THEN ${MIDNIGHT} END AS "resetsAt",
         CASE WHEN reserve.exhausted IS NOT NULL THEN extract(epoch FROM ${MIDNIGHT} - now())::float8 END AS "untilReset"`;

/** When turns in progress have reserved the rest, another request may succeed once one has ended: a guess, in seconds. */
const AGAIN_SECONDS = 10;

/** A budget has no room for the turn. */
export class BudgetExhausted extends Error {
  override readonly name = 'BudgetExhausted';

  constructor(
    readonly budget: Budget,
    /** The rest is not spent, but turns in progress have reserved it. */
    readonly byReserves: boolean,
    readonly resetsAt: Date,
    readonly retryAfterSeconds: number,
  ) {
    super(`The budget ${budget} is exhausted.`);
  }
}

/** The error for a refused turn's row. */
export function exhaustion({ exhausted, byReserves, resetsAt, untilReset }: Exhausted): BudgetExhausted {
  if (exhausted === null || resetsAt === null || untilReset === null) throw new Error('The row is no refused turn.');
  const seconds = Math.ceil(untilReset);
  const reserved = byReserves === true;
  return new BudgetExhausted(exhausted, reserved, resetsAt, reserved ? Math.min(AGAIN_SECONDS, seconds) : seconds);
}
