import Anthropic from '@anthropic-ai/sdk';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { HealthDetails } from '#health/health-details.js';
import { inBrief } from '#process/described-error.js';
import { type LogFields, line } from '#process/log-line.js';
import { timeLimit } from '#process/time-limit.js';
import { checkModels, type Finding, type OfferedAssistant } from './model-check.js';
import { askForModels, type KnownModels, NoModelList } from './models.js';

/** How often assistants are looked at: an API that starts with other definitions is found out within a minute. In milliseconds. */
const LOOK_MS = 60_000;

/** How often the model's server is asked, and how long it has to answer, in milliseconds. */
const ASK_MS = 3_600_000;
const LONGEST_ASKING_MS = 10_000;

const OFFERED = `
  SELECT slug, model, max_output_tokens AS "maxOutputTokens", thinking, effort
    FROM assistants WHERE retired_at IS NULL ORDER BY slug`;

/**
 * Holds the assistants on offer against what their model's server knows of the models, from the start on and beside everything else.
 * Else a wrong name, or a setting that a model does not take, is found out by users, whose turns fail.
 *
 * It only tells: in the log, each finding once, and in the readiness. A server that does not tell of its models is as good as any.
 */
@Injectable()
export class ModelWatch implements OnApplicationBootstrap, BeforeApplicationShutdown, HealthDetails {
  private readonly logger = new Logger(ModelWatch.name);
  private readonly stop = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  /** The server's last answer; undefined: none so far. */
  private models: KnownModels | undefined;
  private askAgainAt = -Infinity;
  /** The names that were asked for at last. */
  private asked: ReadonlySet<string> = new Set();
  /** It was said that the server does not tell. */
  private saidSo = false;
  private checkedAt: Date | undefined;
  private found: readonly Finding[] = [];

  constructor(
    private readonly manager: EntityManager,
    private readonly api: Anthropic,
  ) {}

  /** The findings of the last look. */
  get findings(): readonly Finding[] {
    return this.found;
  }

  onApplicationBootstrap(): void {
    this.lookAndGoOn();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stop.abort();
    clearTimeout(this.timer);
    await this.running;
  }

  healthDetails(): { model: { checked_at: string | null; findings: readonly Finding[] } } {
    return { model: { checked_at: this.checkedAt?.toISOString() ?? null, findings: this.found } };
  }

  /** Looks at the assistants, and asks the server where that is due or one of them has a model that it was not asked for. Never fails. */
  async look(): Promise<void> {
    try {
      const due = performance.now() >= this.askAgainAt;
      // A server that does not tell is not asked again each time a definition changes.
      if (!due && this.models === undefined) return;
      const assistants = await this.manager.query<OfferedAssistant[]>(OFFERED);
      const names = new Set(assistants.map(({ model }) => model));
      if (names.size > 0 && (due || [...names].some((name) => !this.asked.has(name)))) await this.ask(names);
      if (this.models === undefined || this.stop.signal.aborted) return;
      this.tell(checkModels(assistants, this.models));
      this.checkedAt = new Date();
    } catch (error) {
      this.logger.warn(line('cannot hold the assistants against their models', {}, error));
    }
  }

  private lookAndGoOn(): void {
    this.running = this.look().finally(() => {
      if (this.stop.signal.aborted) return;
      // Spread, so that many workers do not look in the same instant.
      this.timer = setTimeout(() => this.lookAndGoOn(), LOOK_MS * (0.75 + Math.random() / 2)).unref();
    });
  }

  private async ask(names: ReadonlySet<string>): Promise<void> {
    this.askAgainAt = performance.now() + ASK_MS;
    this.asked = names;
    const limit = timeLimit(LONGEST_ASKING_MS, this.stop.signal);
    try {
      this.models = await askForModels(this.api, names, limit.signal);
      this.saidSo = false;
    } catch (error) {
      // Its earlier answer holds as long as it does not say otherwise.
      if (this.stop.signal.aborted || this.saidSo) return;
      this.saidSo = true;
      const why = limit.late ? { reason: 'no answer in time' } : reasonOf(error);
      this.logger.log(line('the server of the model does not tell of its models: assistants are not checked', why));
    } finally {
      limit.release();
    }
  }

  /** Logs findings that are new, and that all is well again. */
  private tell(findings: readonly Finding[]): void {
    const before = new Set(this.found.map(({ message }) => message));
    for (const { assistant, message } of findings) {
      if (!before.has(message)) this.logger.warn(line(message, { assistant }));
    }
    if (findings.length === 0 && before.size > 0) this.logger.log('the assistants suit their models again');
    this.found = findings;
  }
}

function reasonOf(error: unknown): LogFields {
  if (error instanceof Anthropic.APIError && typeof error.status === 'number') return { status: error.status };
  return { reason: error instanceof NoModelList ? error.message : inBrief(error) };
}
