import { MAX_ATTEMPTS } from '#jobs/timings.js';
import type { JobFault } from '#jobs/transitions.js';

/** Which calls an operator's fault concerns: all, those of the same model, or those for the same assistant. */
export type Concern = 'all' | 'model' | 'assistant';

/** What a fault means for the job, and for others. */
interface Meaning {
  /** How many attempts of a job may fail with this code; 1: trying again cannot help. */
  readonly most?: number;
  /** The model was not there: no connection, a status that may pass, or no beginning of an answer. */
  readonly outage?: boolean;
  /** An operator has to act before any such call can succeed; which calls that are. */
  readonly operator?: Concern;
  /** The turn itself is what the model does not take: later prompts leave it out. */
  readonly leavesOut?: boolean;
  /** The prompt is too long: a shorter one may do. */
  readonly tooLong?: boolean;
  /** The model asked to wait this long, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** Why a model call gave no reply, and what that means. */
export class ModelFault extends Error {
  readonly most: number;
  readonly outage: boolean;
  readonly operator: Concern | undefined;
  readonly leavesOut: boolean;
  readonly tooLong: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: JobFault['code'],
    message: string,
    { most = 1, outage = false, operator, leavesOut = false, tooLong = false, retryAfterMs }: Meaning = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ModelFault';
    this.most = most;
    this.outage = outage;
    this.operator = operator;
    this.leavesOut = leavesOut;
    this.tooLong = tooLong;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The model is away, overloaded or limits us; that passes. */
export function unavailable(message: string, meaning: Meaning = {}, options?: ErrorOptions): ModelFault {
  return new ModelFault('model_unavailable', message, { most: MAX_ATTEMPTS, outage: true, ...meaning }, options);
}

/** The model does not take this turn, and never will. */
export function rejected(message: string, options?: ErrorOptions): ModelFault {
  return new ModelFault('model_rejected', message, { leavesOut: true }, options);
}

/** The prompt is longer than the model takes. */
export function tooLong(options?: ErrorOptions): ModelFault {
  const message = 'The message is too long for the model.';
  return new ModelFault('message_too_long', message, { tooLong: true, leavesOut: true }, options);
}

/** The answer began and did not end as it should. */
export function broken(message: string, most = MAX_ATTEMPTS, options?: ErrorOptions): ModelFault {
  return new ModelFault('answer_broken', message, { most }, options);
}

/** An operator has to act: nothing that a client does can help. */
export function operatorMust(
  code: 'model_unauthorized' | 'model_budget' | 'model_misconfigured',
  message: string,
  concern: Concern,
  options?: ErrorOptions,
): ModelFault {
  return new ModelFault(code, message, { operator: concern }, options);
}
