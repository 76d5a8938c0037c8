import { type BudgetName, CATALOGUE, type ErrorCode, type JobErrorCode } from './catalogue.js';

export interface FieldFault {
  readonly field: string;
  readonly message: string;
}

export interface ErrorExtras {
  /** The wrong fields, for `validation_failed`. */
  readonly details?: readonly FieldFault[];
  /** The job that the error is about, so that a client can go on from it. */
  readonly jobId?: string;
  /** Why that job failed, for `assistant_failed`. */
  readonly jobError?: JobErrorCode | undefined;
  /** The budget that has no room, for `budget_exhausted`, and when it is whole again. */
  readonly budget?: { readonly name: BudgetName; readonly resetsAt: Date };
  /** Headers that the answer must carry (RFC 9110: `Allow` with 405, `Retry-After` with 503). */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** The only error that becomes an answer: a code of the catalogue and a message that a client may read. */
export class ServiceError extends Error {
  readonly status: number;
  readonly details: readonly FieldFault[] | undefined;
  readonly jobId: string | undefined;
  readonly jobError: JobErrorCode | undefined;
  readonly budget: ErrorExtras['budget'];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly code: ErrorCode,
    message: string,
    extras: ErrorExtras = {},
  ) {
    super(message, { cause: extras.cause });
    this.name = 'ServiceError';
    this.status = CATALOGUE[code].status;
    this.details = extras.details;
    this.jobId = extras.jobId;
    this.jobError = extras.jobError;
    this.budget = extras.budget;
    this.headers = extras.headers ?? {};
  }
}

/** The error of a client whose turn failed. */
export function assistantFailed(job: {
  readonly id: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
}): ServiceError {
  const jobError = (job.errorCode ?? undefined) as JobErrorCode | undefined;
  const message = job.errorMessage ?? 'The assistant gave no reply.';
  return new ServiceError('assistant_failed', message, { jobId: job.id, jobError });
}

/** An unknown resource and another user's get the same words, so that the answer does not show which it was. */
export function notFound(what: 'assistant' | 'chat' | 'job' | 'receipt' | 'tool call' | 'user'): ServiceError {
  return new ServiceError('not_found', `There is no such ${what}.`);
}

/** A 422 for one field. */
export function invalidField(field: string, message: string): ServiceError {
  return new ServiceError('validation_failed', 'The request has invalid fields.', { details: [{ field, message }] });
}

/** The error for an unknown path. */
export function nothingHere(cause?: unknown): ServiceError {
  return new ServiceError('not_found', 'There is nothing at this address.', { cause });
}
