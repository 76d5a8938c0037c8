import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { EntityManager } from 'typeorm';
import { ServiceError } from '#errors/service-error.js';
import type { Budget, BudgetExhausted, Budgets } from '#limits/budgets.js';
import {
  type Allowance,
  giveBackTurn,
  NO_LIMITS,
  type Reached,
  reachedLimit,
  type UserLimits,
  WINDOW_SECONDS,
} from '#limits/user-limits.js';
import type { Settings } from '#settings/settings.js';
import { refusedFor } from './limit-metrics.js';

const DAY_SECONDS = 24 * 60 * 60;

const WORDS = {
  turns: 'You have sent too much in a short time.',
  unfinished: 'You have too many turns in progress.',
  streams: 'You have too many streams open.',
} as const;

export type Limit = keyof typeof WORDS;

/** For each budget, that it is spent, and that turns in progress have reserved the rest. No words have an assistant's figures. */
const BUDGET_WORDS: Readonly<Record<Budget, readonly [spent: string, reserved: string]>> = {
  user_tokens: [
    'You have used up your tokens for today.',
    'Your turns in progress may use up the rest of your tokens for today.',
  ],
  user_cost: [
    'You have used up your budget for today.',
    'Your turns in progress may use up the rest of your budget for today.',
  ],
  assistant_cost: [
    'The assistant has used up its budget for today.',
    'Turns in progress may use up the rest of the assistant’s budget for today.',
  ],
};

/**
 * Reports limits and budgets: 429 with `Retry-After` (RFC 6585, section 4), and the fields `RateLimit-Policy` and `RateLimit`
 * (draft-ietf-httpapi-ratelimit-headers-09, sections 3 and 4). The limits are enforced where turns are accepted and streams are opened.
 */
@Injectable()
export class Limits {
  /** The limits, for `RateLimit-Policy`. */
  private readonly policies: Readonly<Record<Limit | 'tokens', string | undefined>>;

  constructor(
    private readonly manager: EntityManager,
    private readonly limits: Settings['limits'],
    private readonly assistants: { readonly haveBudgets: boolean },
  ) {
    const { turnsPerMinute, unfinishedTurns, tokensPerDay, openStreams } = limits;
    this.policies = {
      turns: policy('turns', turnsPerMinute, `w=${WINDOW_SECONDS}`),
      unfinished: policy('unfinished', unfinishedTurns, 'qu="concurrent-requests"'),
      tokens: policy('tokens', tokensPerDay, `qu="tokens";w=${DAY_SECONDS}`),
      streams: policy('streams', openStreams, 'qu="concurrent-requests"'),
    };
  }

  /** The limits that are enforced where turns are accepted. */
  get ofUser(): UserLimits {
    return this.limits;
  }

  /** The budgets that are checked where turns are accepted. */
  get budgets(): Budgets {
    const { tokensPerDay, costPerDay } = this.limits;
    return { tokensPerDay, costPerDay, ofAssistants: this.assistants.haveBudgets };
  }

  /**
   * The limits for a request that only stores something: a message, or a new chat. It counts as one of the user's turns per minute, which
   * limits how fast a user can fill the database.
   */
  get ofStoring(): UserLimits {
    return { ...NO_LIMITS, turnsPerMinute: this.limits.turnsPerMinute };
  }

  /** Reports the rest of the limit after a turn was accepted. */
  sendRemaining(reply: FastifyReply, left: Allowance | undefined): void {
    if (left === undefined || this.policies.turns === undefined) return;
    void reply
      .header('ratelimit-policy', this.policies.turns)
      .header('ratelimit', `"turns";r=${left.turns};t=${left.fullAfterSeconds}`);
  }

  /** The error if a limit was the reason for not accepting the user's turn. `limits`: the limits that applied. */
  async refusal(userId: string, limits: UserLimits = this.limits): Promise<ServiceError | undefined> {
    const reached = await reachedLimit(this.manager, userId, limits);
    if (reached === undefined) return undefined;
    // The user rate may have counted this turn before the unfinished turns were counted.
    if (reached.limit === 'unfinished') await giveBackTurn(this.manager, userId, limits);
    return this.reached(reached);
  }

  /** The error for a user who has reached a limit. */
  reached({ limit, retryAfterSeconds }: Omit<Reached, 'limit'> & { limit: Limit }): ServiceError {
    refusedFor(limit);
    return new ServiceError('rate_limited', WORDS[limit], {
      headers: {
        'retry-after': String(retryAfterSeconds),
        'ratelimit-policy': this.policies[limit] ?? '',
        ratelimit: `"${limit}";r=0;t=${retryAfterSeconds}`,
      },
    });
  }

  /** The error for a turn that a budget has no room for. */
  exhausted({ budget, byReserves, resetsAt, retryAfterSeconds }: BudgetExhausted): ServiceError {
    refusedFor(budget);
    return new ServiceError('budget_exhausted', BUDGET_WORDS[budget][byReserves ? 1 : 0], {
      budget: { name: budget, resetsAt },
      headers: {
        'retry-after': String(retryAfterSeconds),
        ...(budget === 'user_tokens' && {
          'ratelimit-policy': this.policies.tokens ?? '',
          ratelimit: `"tokens";r=0;t=${retryAfterSeconds}`,
        }),
      },
    });
  }
}

function policy(name: Limit | 'tokens', quota: number | undefined, rest: string): string | undefined {
  return quota === undefined ? undefined : `"${name}";q=${quota};${rest}`;
}
