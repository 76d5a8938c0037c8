import type { EntityManager } from 'typeorm';
import { isUnfinished } from '#database/columns.js';
import { statement } from '#database/statement.js';
import { type Budgets, budgetValues, MIDNIGHT } from '#limits/budgets.js';

/* How much of today's budgets is used, for operators. Shares are in percent, and include what unfinished turns have reserved. */

/** An assistant's budget. Amounts are decimal numbers. */
export interface AssistantBudget {
  readonly assistant: string;
  readonly costPerDay: string;
  readonly cost: string;
  readonly reservedCost: string;
  readonly share: string;
}

/** A budget of an assistant that is not on offer any more is listed while it is used: chats go on. */
const OF_ASSISTANTS = `
  SELECT a.slug AS assistant, a.cost_per_day AS "costPerDay", used.cost, used.reserved_cost AS "reservedCost",
         round(100 * (used.cost + used.reserved_cost) / a.cost_per_day, 2) AS share
    FROM assistants a CROSS JOIN LATERAL assistant_usage(a.slug) used
   WHERE a.cost_per_day IS NOT NULL AND (a.retired_at IS NULL OR used.cost + used.reserved_cost > 0)
   ORDER BY share DESC, a.slug`;

/** The budgets of assistants, the most used first. It reads today's rows of `spending` and the unfinished turns with these assistants. */
export function assistantBudgets(manager: EntityManager): Promise<AssistantBudget[]> {
  return manager.query<AssistantBudget[]>(OF_ASSISTANTS);
}

/** A user's budgets. Amounts and numbers of tokens are decimal numbers. */
export interface UserBudget {
  readonly userId: string;
  readonly tokens: string;
  readonly reservedTokens: string;
  readonly cost: string;
  readonly reservedCost: string;
  /** The larger share of the two budgets. */
  readonly share: string;
}

const OF_USERS = statement(`
  WITH spent AS (
    SELECT user_id, sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS tokens, coalesce(sum(cost), 0) AS cost
      FROM model_calls WHERE started_at >= this_day() AND user_id IS NOT NULL GROUP BY user_id
  ), reserved AS (
    SELECT j.user_id, sum(greatest(j.reserved_tokens - its.tokens, 0)) AS tokens, sum(greatest(j.reserved_cost - its.cost, 0)) AS cost
      FROM jobs j CROSS JOIN LATERAL job_usage(j.id, j.attempts, coalesce(j.requeued_at, j.created_at)) its
     WHERE ${isUnfinished('j')} GROUP BY j.user_id
  ), used AS (
    SELECT user_id, coalesce(spent.tokens, 0) AS tokens, coalesce(reserved.tokens, 0) AS reserved_tokens,
           coalesce(spent.cost, 0) AS cost, coalesce(reserved.cost, 0) AS reserved_cost
      FROM spent FULL JOIN reserved USING (user_id)
  ), shared AS (
    SELECT used.*, round(greatest(100.0 * (tokens + reserved_tokens) / :tokensPerDay::bigint,
                                  100.0 * (cost + reserved_cost) / :costPerDay::numeric), 2) AS share FROM used
  )
  SELECT user_id AS "userId", tokens, reserved_tokens AS "reservedTokens", cost, reserved_cost AS "reservedCost", share FROM shared
   WHERE share >= :share::numeric ORDER BY share DESC, user_id COLLATE "C" LIMIT :most`);

/**
 * The users with at least this share of a budget, at most `most`, the largest shares first. It reads all of today's calls, as the list of
 * usage does: a sum for each user that is kept up to date would cost each turn more than the list is worth.
 */
export async function userBudgets(
  manager: EntityManager,
  budgets: Budgets,
  share: number,
  most: number,
): Promise<UserBudget[]> {
  if (budgets.tokensPerDay === undefined && budgets.costPerDay === undefined) return [];
  return OF_USERS.rows<UserBudget>(manager, budgetValues(budgets), { share, most });
}

const TODAY = `
  SELECT to_char(this_day() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, ${MIDNIGHT} AS "resetsAt",
         CASE WHEN EXISTS (SELECT FROM prices) THEN (SELECT currency FROM deployment) END AS currency`;

/** The day by the database's clock, its end, and the currency of prices; null: there are none. */
export async function budgetDay(
  manager: EntityManager,
): Promise<{ readonly day: string; readonly resetsAt: Date; readonly currency: string | null }> {
  const [today] = await manager.query<[{ day: string; resetsAt: Date; currency: string | null }]>(TODAY);
  return today;
}
