import { ApiError, ConnectionError, type ErrorBody, type ErrorDetail, type JobStatus } from '@rejoinder/client';

/** A problem, in words for a reader. */
export interface Problem {
  readonly message: string;
  /** The contract's code; undefined when the service was not reached. */
  readonly code?: string;
  readonly requestId?: string;
  readonly details?: readonly ErrorDetail[];
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) {
    const { code, requestId, details, message } = error;
    return { message, code, requestId, ...(details.length > 0 && { details }) };
  }
  if (error instanceof ConnectionError) return { message: 'The service does not answer. Nothing is lost: try again.' };
  return { message: error instanceof Error ? error.message : String(error) };
}

/** A problem from an error that came as an event. */
export function problemFrom({ code, message, request_id: requestId }: ErrorBody): Problem {
  return { code, message, requestId };
}

const STATES: Readonly<Record<JobStatus, string>> = {
  queued: 'Queued',
  running: 'Running',
  requires_action: 'Waiting for a person',
  succeeded: 'Succeeded',
  failed: 'Failed',
  canceled: 'Canceled',
};

export const stateName = (status: JobStatus): string => STATES[status];
