import { Injectable, Logger } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { EntityManager } from 'typeorm';
import { isStoreAway } from '#errors/store-away.js';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import { registry } from '#telemetry/registry.js';
import { AssistantsService } from '../assistants/assistants.service.js';
import { type AssistantBudget, assistantBudgets } from '../limits/budgets-today.js';

/** How long PostgreSQL may take, in milliseconds: the other metrics must not wait for it longer. */
const LONGEST_READ_MS = 2_000;

/**
 * How much of the assistants' budgets is used. A request from Prometheus reads the figures from PostgreSQL, never twice at a time. All API
 * processes report the same. While the database does not answer, there are no figures.
 */
@Injectable()
export class BudgetMetrics {
  private readonly logger = new Logger(BudgetMetrics.name);
  private reading: Promise<readonly AssistantBudget[]> | undefined;

  constructor(
    private readonly manager: EntityManager,
    private readonly assistants: AssistantsService,
  ) {
    const read = (): Promise<readonly AssistantBudget[]> => this.read();
    new Gauge({
      name: 'rejoinder_assistant_budget_ratio',
      help: 'The part of an assistant’s budget of the day that is spent or reserved: 1 is all of it.',
      labelNames: ['assistant'],
      registers: [registry],
      async collect() {
        const budgets = await read();
        this.reset();
        for (const { assistant, share } of budgets) this.set({ assistant }, Number(share) / 100);
      },
    });
  }

  private async read(): Promise<readonly AssistantBudget[]> {
    if (!this.assistants.haveBudgets) return [];
    this.reading ??= assistantBudgets(this.manager)
      .catch((error: unknown) => {
        // Other metrics report that the database is away.
        if (!isStoreAway(error)) this.logger.warn(logLine('cannot read the budgets', {}, error));
        return [];
      })
      .finally(() => (this.reading = undefined));
    return within(LONGEST_READ_MS, this.reading, []);
  }
}
