import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** An error of the Messages API. */
export interface ApiFault {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  /** The value of `error.details.error_code`. */
  readonly errorCode?: string | undefined;
}

/** A refused request, with its answer. */
export class Refusal extends Error implements ApiFault {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
    readonly errorCode?: string,
  ) {
    super(message);
  }
}

/** A refusal with 400 `invalid_request_error`. */
export function invalid(message: string): Refusal {
  return new Refusal(400, 'invalid_request_error', message);
}

/** An id in the API's form, `req_…` for one. */
export function newId(prefix: string): string {
  return `${prefix}_${randomBytes(12).toString('hex')}`;
}

/** Answers with JSON; `headers` come before the usual ones. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** The body of an error, and of an error event. */
export function errorBody({ type, message, errorCode }: Omit<ApiFault, 'status'>, requestId: string): object {
  const details = errorCode === undefined ? {} : { details: { error_code: errorCode } };
  return { type: 'error', error: { ...details, type, message }, request_id: requestId };
}

/** Answers with an error in the API's shape. */
export function sendError(
  response: ServerResponse,
  fault: ApiFault,
  requestId = newId('req'),
  headers: Record<string, string> = {},
): void {
  sendJson(response, fault.status, errorBody(fault, requestId), { 'request-id': requestId, ...headers });
}

/** The API refuses larger bodies: 32 MB. */
const LARGEST_BODY_BYTES = 32 * 1024 * 1024;

/** Reads a body as JSON. @throws Refusal if it is too large or no JSON */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // A body that is too large is also read to its end: otherwise a client that is still sending would see a broken connection and no
    // answer.
    if (size <= LARGEST_BODY_BYTES) chunks.push(chunk);
  }
  if (size > LARGEST_BODY_BYTES) {
    throw new Refusal(413, 'request_too_large', 'Request exceeds the maximum size');
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw invalid('The request body is not valid JSON');
  }
}

/** Waits; false: the client left meanwhile. */
export function pause(response: ServerResponse, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      response.removeListener('close', done);
      resolve(!response.destroyed);
    };
    const timer = setTimeout(done, ms);
    response.once('close', done);
  });
}

/** Waits until the client leaves. */
export function untilClosed(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) resolve();
    else response.once('close', () => resolve());
  });
}
