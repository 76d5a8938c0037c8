import { STATUS_CODES } from 'node:http';
import type { components } from '#contract/openapi.gen.js';
import type { ErrorCode } from './catalogue.js';
import { ServiceError } from './service-error.js';

/** The shape of every error. */
export type ErrorBody = components['schemas']['ErrorBody'];

/** An error as JSON. */
export function errorBody(error: ServiceError, requestId: string): ErrorBody {
  return {
    code: error.code,
    message: error.message,
    request_id: requestId,
    ...(error.details && { details: error.details.map((fault) => ({ ...fault })) }),
    ...(error.jobId && { job_id: error.jobId }),
    ...(error.jobError && { job_error: error.jobError }),
    ...(error.budget && { budget: error.budget.name, resets_at: error.budget.resetsAt.toISOString() }),
  };
}

/**
 * A whole HTTP/1.1 answer to a request that Node's parser refuses before the framework sees it. The answer closes the connection, since the
 * bytes that follow may not be a request.
 */
export function rawErrorResponse(
  code: ErrorCode,
  message: string,
  requestId: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const error = new ServiceError(code, message);
  const body = JSON.stringify(errorBody(error, requestId));
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    // A server with a clock must send the date (RFC 9110, section 6.6.1).
    `Date: ${new Date().toUTCString()}`,
    'Cache-Control: no-store',
    `X-Request-Id: ${requestId}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
