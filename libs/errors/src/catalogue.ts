import type { components } from '#contract/openapi.gen.js';

/** The codes of the contract; the catalogue below must name each of them and no other. */
export type ErrorCode = components['schemas']['ErrorCode'];

/** A budget of a day. */
export type BudgetName = components['schemas']['Budget'];

/** Why a job failed. The contract names a remedy for each code. */
export type JobErrorCode = components['schemas']['JobErrorCode'];

interface CatalogueEntry {
  /** The HTTP status of the answer. */
  readonly status: number;
  /** The level in the log: `debug` for a client's fault, a higher one for ours. */
  readonly log: 'debug' | 'warn' | 'error';
}

/** Every error that the service answers with. One code has one status; `openapi.yaml` says which operation may answer with it. */
export const CATALOGUE: Readonly<Record<ErrorCode, CatalogueEntry>> = {
  malformed_request: { status: 400, log: 'debug' },
  unauthorized: { status: 401, log: 'debug' },
  not_found: { status: 404, log: 'debug' },
  method_not_allowed: { status: 405, log: 'debug' },
  not_acceptable: { status: 406, log: 'debug' },
  request_timeout: { status: 408, log: 'debug' },
  turn_in_progress: { status: 409, log: 'debug' },
  chat_not_active: { status: 409, log: 'debug' },
  invalid_transition: { status: 409, log: 'debug' },
  turn_canceled: { status: 409, log: 'debug' },
  tool_call_decided: { status: 409, log: 'debug' },
  precondition_failed: { status: 412, log: 'debug' },
  payload_too_large: { status: 413, log: 'debug' },
  unsupported_media_type: { status: 415, log: 'debug' },
  validation_failed: { status: 422, log: 'debug' },
  idempotency_key_reused: { status: 422, log: 'debug' },
  rate_limited: { status: 429, log: 'debug' },
  budget_exhausted: { status: 429, log: 'debug' },
  header_fields_too_large: { status: 431, log: 'debug' },
  internal: { status: 500, log: 'error' },
  assistant_failed: { status: 502, log: 'warn' },
  unavailable: { status: 503, log: 'warn' },
};
