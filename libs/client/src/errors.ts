import type { ErrorBody, ErrorCode, ErrorDetail, Job, JobErrorCode } from './types.js';

/** Whatever this client throws of its own is one of these; what a caller's `AbortSignal` says is thrown as it is. */
export abstract class RejoinderError extends Error {}

/** The service answered, and the answer is no. `code` is what to act on, `message` what to show. */
export class ApiError extends RejoinderError {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;
  /** Under which the service's logs have the request. */
  readonly requestId: string;
  /** The fields at fault; empty unless the code is `validation_failed`. */
  readonly details: readonly ErrorDetail[];
  /** The job that is in the way, or that came to nothing. */
  readonly jobId: string | undefined;
  /** Why that job failed, with the code `assistant_failed`; `remedyFor` says what helps. */
  readonly jobError: JobErrorCode | undefined;

  constructor(
    /** HTTP status; 0 when the error was told by an event. */
    readonly status: number,
    body: ErrorBody,
    /** When it is worth asking again, in milliseconds; undefined when the service did not say. */
    readonly retryAfterMs?: number,
  ) {
    super(body.message);
    this.code = body.code;
    this.requestId = body.request_id;
    this.details = body.details ?? [];
    this.jobId = body.job_id;
    this.jobError = body.job_error;
  }
}

/**
 * No answer, or one that is not the service's (a proxy's error page), after all tries. What was asked may have been done:
 * asked again with the same idempotency key, it is not done twice.
 */
export class ConnectionError extends RejoinderError {
  override readonly name = 'ConnectionError';
}

/** The turn's job ended without a reply: it failed, or was canceled before the first word. */
export class TurnError extends RejoinderError {
  override readonly name = 'TurnError';

  constructor(readonly job: Job) {
    super(job.error?.message ?? (job.status === 'canceled' ? 'The turn was canceled.' : 'The turn failed.'));
  }
}
