import type { Budget, ErrorBody, ErrorCode, ErrorDetail, Job, JobErrorCode } from './types.js';

/** The parent of all errors of this client. The reason of a caller's `AbortSignal` is thrown as it is. */
export abstract class RejoinderError extends Error {}

/** The service refused the request. Programs decide by `code`; people read `message`. */
export class ApiError extends RejoinderError {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;
  /** The id under which the service's logs have the request. */
  readonly requestId: string;
  /** The fields at fault; empty unless the code is `validation_failed`. */
  readonly details: readonly ErrorDetail[];
  /** The job that blocks the request, or that ended without a reply. */
  readonly jobId: string | undefined;
  /** Why that job failed, with the code `assistant_failed`; `remedyFor` says what helps. */
  readonly jobError: JobErrorCode | undefined;
  /** The budget of the day that has no room for the turn, with the code `budget_exhausted`, and when it is whole again. */
  readonly budget: Budget | undefined;
  readonly resetsAt: Date | undefined;

  constructor(
    /** HTTP status; 0 when an event carried the error. */
    readonly status: number,
    body: ErrorBody,
    /** After how many milliseconds to try again; undefined when the service did not say. */
    readonly retryAfterMs?: number,
  ) {
    super(body.message);
    this.code = body.code;
    this.requestId = body.request_id;
    this.details = body.details ?? [];
    this.jobId = body.job_id;
    this.jobError = body.job_error;
    this.budget = body.budget;
    this.resetsAt = body.resets_at === undefined ? undefined : new Date(body.resets_at);
  }
}

/**
 * All tries got no answer, or one that is not the service's, such as a proxy's error page. The request may have taken effect. With the same
 * idempotency key it can be sent again, and takes effect once.
 */
export class ConnectionError extends RejoinderError {
  override readonly name = 'ConnectionError';
}

/** The turn's job ended without a reply: it failed, or was canceled before the first piece. */
export class TurnError extends RejoinderError {
  override readonly name = 'TurnError';

  constructor(readonly job: Job) {
    super(job.error?.message ?? (job.status === 'canceled' ? 'The turn was canceled.' : 'The turn failed.'));
  }
}
