import { Get, Query } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { BudgetsQuery } from '#contract/admin.dto.js';
import type { components } from '#contract/openapi.gen.js';
import { Operation } from '../http/operation.decorator.js';
import {
  type AssistantBudget,
  assistantBudgets,
  budgetDay,
  type UserBudget,
  userBudgets,
} from '../limits/budgets-today.js';
import { Limits } from '../limits/limits.js';
import { ForOperators } from './admin.decorator.js';

type Schemas = components['schemas'];

const DEFAULT_SHARE = 80;
const DEFAULT_USERS = 100;

/** How much of today's budgets is used. */
@ForOperators('budgets')
export class BudgetsController {
  constructor(
    private readonly manager: EntityManager,
    private readonly limits: Limits,
  ) {}

  @Get()
  @Operation('getBudgets', [200, 304, 404, 412, 422])
  async get(@Query() { share = DEFAULT_SHARE, limit = DEFAULT_USERS }: BudgetsQuery): Promise<Schemas['Budgets']> {
    const { budgets } = this.limits;
    const { day, resetsAt, currency } = await budgetDay(this.manager);
    const assistants = await assistantBudgets(this.manager);
    const users = await userBudgets(this.manager, budgets, share, limit + 1);
    return {
      day,
      resets_at: resetsAt.toISOString(),
      currency,
      tokens_per_user: budgets.tokensPerDay ?? null,
      cost_per_user: budgets.costPerDay ?? null,
      assistants: assistants.map(presentAssistant),
      users: users.slice(0, limit).map(presentUser),
      has_more: users.length > limit,
    };
  }
}

function presentAssistant(budget: AssistantBudget): Schemas['AssistantBudget'] {
  return {
    assistant: budget.assistant,
    cost_per_day: Number(budget.costPerDay),
    cost: Number(budget.cost),
    reserved_cost: Number(budget.reservedCost),
    share: Number(budget.share),
  };
}

function presentUser(budget: UserBudget): Schemas['UserBudget'] {
  return {
    user_id: budget.userId,
    tokens: Number(budget.tokens),
    reserved_tokens: Number(budget.reservedTokens),
    cost: Number(budget.cost),
    reserved_cost: Number(budget.reservedCost),
    share: Number(budget.share),
  };
}
