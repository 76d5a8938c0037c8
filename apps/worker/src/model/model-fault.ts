import type { JobFault } from '#jobs/transitions.js';

/** Why a model call gave no reply, and what that means for the job. */
export class ModelFault extends Error {
  constructor(
    readonly code: JobFault['code'],
    message: string,
    readonly retryable: boolean,
    /** What the model asked to wait, in milliseconds. */
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ModelFault';
  }
}
