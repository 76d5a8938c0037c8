import { MAX_ATTEMPTS } from '#jobs/timings.js';
import type { JobFault } from '#jobs/transitions.js';
import type { NamedLength } from './window.js';

/** Which calls fail until an operator acts: all, those of the same model, or those for the same assistant. */
export type Concern = 'all' | 'model' | 'assistant';

/** The consequences of a fault, for the job and for other jobs. */
interface Meaning {
  /** How many attempts of a job may fail with this code; 1: a retry cannot help. */
  readonly most?: number;
  /** The model was not reached: no connection, a temporary status, or no beginning of an answer. */
  readonly outage?: boolean;
  /** Set when an operator has to act: the calls that fail until then. */
  readonly operator?: Concern;
  /** The model refuses the turn itself, so later prompts leave it out. */
  readonly leavesOut?: boolean;
  /** The prompt is too long. A shorter one may succeed. */
  readonly tooLong?: boolean;
  /** Its length and the longest one, if the model named them. */
  readonly length?: NamedLength | undefined;
  /** How long the model asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** Why a call gave no reply, with the consequences. */
export class ModelFault extends Error {
  readonly most: number;
  readonly outage: boolean;
  readonly operator: Concern | undefined;
  readonly leavesOut: boolean;
  readonly tooLong: boolean;
  readonly length: NamedLength | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: JobFault['code'],
    message: string,
    { most = 1, outage = false, operator, leavesOut = false, tooLong = false, length, retryAfterMs }: Meaning = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ModelFault';
    this.most = most;
    this.outage = outage;
    this.operator = operator;
    this.leavesOut = leavesOut;
    this.tooLong = tooLong;
    this.length = length;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The model is away, overloaded, or limits our rate. That is temporary. */
export function unavailable(message: string, meaning: Meaning = {}, options?: ErrorOptions): ModelFault {
  return new ModelFault('model_unavailable', message, { most: MAX_ATTEMPTS, outage: true, ...meaning }, options);
}

/** The model refuses this turn for good. */
export function rejected(message: string, options?: ErrorOptions): ModelFault {
  return new ModelFault('model_rejected', message, { leavesOut: true }, options);
}

/** The prompt is longer than the model accepts. */
export function tooLong(options?: ErrorOptions, length?: NamedLength): ModelFault {
  const message = 'The message is too long for the model.';
  return new ModelFault('message_too_long', message, { tooLong: true, leavesOut: true, length }, options);
}

/** The answer began and broke off. */
export function broken(message: string, most = MAX_ATTEMPTS, options?: ErrorOptions): ModelFault {
  return new ModelFault('answer_broken', message, { most }, options);
}

/** An operator has to act. A client can do nothing about it. */
export function operatorMust(
  code: 'model_unauthorized' | 'model_budget' | 'model_misconfigured',
  message: string,
  concern: Concern,
  options?: ErrorOptions,
): ModelFault {
  return new ModelFault(code, message, { operator: concern }, options);
}
