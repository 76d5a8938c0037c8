import Anthropic from '@anthropic-ai/sdk';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { HealthDetails } from '#health/health-details.js';
import { CLOSE_MS } from '#jobs/timings.js';
import { inBrief } from '#process/described-error.js';
import { type LogFields, logLine } from '#process/log-line.js';
import { timeLimit } from '#process/time-limit.js';
import { within } from '#process/within.js';
import { checkModels, type Finding, type OfferedAssistant } from './model-check.js';
import { askForModels, type KnownModels, NoModelList } from './models.js';

/** How often assistants are read, in milliseconds. An API may start with other definitions at any time. */
const CHECK_MS = 60_000;

/** How often the model's server is asked, and how long it may take to answer, in milliseconds. */
const ASK_MS = 3_600_000;
const LONGEST_ASKING_MS = 10_000;

const OFFERED = `
  SELECT slug, model, fallback_model AS "fallbackModel", max_output_tokens AS "maxOutputTokens", context_tokens AS "contextTokens", thinking,
         effort, show_reasoning AS "showReasoning", output_schema IS NOT NULL AS "hasOutputSchema"
    FROM assistants WHERE retired_at IS NULL ORDER BY slug`;

/**
 * Compares the assistants on offer with the server's list of models, at start and then in the background. Otherwise users, whose turns
 * fail, would be the first to notice a wrong model name or a refused setting.
 *
 * It only reports: each finding once in the log, and in the readiness detail. A server without a list of models is no fault, and a
 * provider without one is not asked.
 */
@Injectable()
export class ModelWatch implements OnApplicationBootstrap, BeforeApplicationShutdown, HealthDetails {
  private readonly logger = new Logger(ModelWatch.name);
  private readonly stop = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  /** The server's last answer; undefined: no answer yet. */
  private models: KnownModels | undefined;
  private askAgainAt = -Infinity;
  /** The names in the last question. */
  private asked: ReadonlySet<string> = new Set();
  /** Whether the log has reported that the server has no list. */
  private reported = false;
  private checkedAt: Date | undefined;
  private found: readonly Finding[] = [];

  constructor(
    private readonly manager: EntityManager,
    private readonly api: Anthropic | undefined,
  ) {}

  /** The findings of the last check. */
  get findings(): readonly Finding[] {
    return this.found;
  }

  onApplicationBootstrap(): void {
    if (this.api !== undefined) this.checkAndGoOn();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stop.abort();
    clearTimeout(this.timer);
    // PostgreSQL may be silent.
    await within(CLOSE_MS, this.running, undefined);
  }

  healthDetails(): { model: { checked_at: string | null; findings: readonly Finding[] } } {
    return { model: { checked_at: this.checkedAt?.toISOString() ?? null, findings: this.found } };
  }

  /** Checks the assistants. Asks the server first if that is due, or if an assistant has a new model name. Never rejects. */
  async check(): Promise<void> {
    try {
      const due = performance.now() >= this.askAgainAt;
      // A server without a list is not asked again each time a definition changes.
      if (this.api === undefined || (!due && this.models === undefined)) return;
      const assistants = await this.manager.query<OfferedAssistant[]>(OFFERED);
      const names = new Set(
        assistants.flatMap(({ model, fallbackModel }) => (fallbackModel === null ? [model] : [model, fallbackModel])),
      );
      if (names.size > 0 && (due || [...names].some((name) => !this.asked.has(name)))) await this.ask(this.api, names);
      if (this.models === undefined || this.stop.signal.aborted) return;
      this.report(checkModels(assistants, this.models));
      this.checkedAt = new Date();
    } catch (error) {
      this.logger.warn(logLine('cannot compare the assistants with their models', {}, error));
    }
  }

  private checkAndGoOn(): void {
    this.running = this.check().finally(() => {
      if (this.stop.signal.aborted) return;
      // The pauses vary, so that many workers do not ask at the same moment.
      this.timer = setTimeout(() => this.checkAndGoOn(), CHECK_MS * (0.75 + Math.random() / 2)).unref();
    });
  }

  private async ask(api: Anthropic, names: ReadonlySet<string>): Promise<void> {
    this.askAgainAt = performance.now() + ASK_MS;
    this.asked = names;
    const limit = timeLimit(LONGEST_ASKING_MS, this.stop.signal);
    try {
      this.models = await askForModels(api, names, limit.signal);
      this.reported = false;
    } catch (error) {
      // The earlier answer stays valid until the server gives a new one.
      if (this.stop.signal.aborted || this.reported) return;
      this.reported = true;
      const why = limit.late ? { reason: 'no answer in time' } : reasonOf(error);
      this.logger.log(
        logLine('the model’s server does not list its models: the worker does not check the assistants', why),
      );
    } finally {
      limit.release();
    }
  }

  /** Logs new findings, and the moment at which none is left. */
  private report(findings: readonly Finding[]): void {
    const before = new Set(this.found.map(({ message }) => message));
    for (const { assistant, message } of findings) {
      if (!before.has(message)) this.logger.warn(logLine(message, { assistant }));
    }
    if (findings.length === 0 && before.size > 0) this.logger.log('the assistants suit their models again');
    this.found = findings;
  }
}

function reasonOf(error: unknown): LogFields {
  if (error instanceof Anthropic.APIError && typeof error.status === 'number') return { status: error.status };
  return { reason: error instanceof NoModelList ? error.message : inBrief(error) };
}
