import { Refusal } from './http.js';

/** The states of an account, each with the answer to its calls. */
const STATES = {
  ok: undefined,
  bad_key: new Refusal(401, 'authentication_error', 'invalid x-api-key'),
  /** No credit is left. */
  no_credit: new Refusal(
    400,
    'invalid_request_error',
    'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
  ),
  billing: new Refusal(402, 'billing_error', 'There is an issue with your billing or payment information.'),
  /** The month's spend limit of the account's tier. It has no `retry-after`. */
  spend_limit: new Refusal(
    429,
    'rate_limit_error',
    'Your organization has reached its monthly API usage threshold.',
    'enforced_spend_limit_reached',
  ),
  /** A spend limit the organization has set for itself. */
  own_limit: new Refusal(
    400,
    'invalid_request_error',
    'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
  ),
  no_permission: new Refusal(
    403,
    'permission_error',
    'Your API key does not have permission to use the specified resource.',
  ),
  on_hold: new Refusal(400, 'invalid_request_error', 'This organization has been disabled.', 'organization_on_hold'),
} satisfies Record<string, Refusal | undefined>;

export type AccountState = keyof typeof STATES;

/** The account of all calls. */
export class Account {
  private state: AccountState = 'ok';

  /** Sets the state for all calls from now on. @throws Error for an unknown state */
  become(request: unknown): void {
    const { state, ...rest } = (request ?? {}) as Record<string, unknown>;
    if (Object.keys(rest).length > 0) throw new Error(`unknown: ${Object.keys(rest).join(', ')}`);
    if (typeof state !== 'string' || !Object.hasOwn(STATES, state)) {
      throw new Error(`state must be one of ${Object.keys(STATES).join(', ')}`);
    }
    this.state = state as AccountState;
  }

  /** Refuses a call if the account's state does. @throws Refusal */
  check(): void {
    const refusal = STATES[this.state];
    if (refusal !== undefined) throw refusal;
  }
}

/** Checks the key of a request in either of its two headers. All keys but `invalid` are valid. @throws Refusal 401 */
export function checkKey(headers: { 'x-api-key'?: unknown; authorization?: string | undefined }): void {
  const { 'x-api-key': key, authorization } = headers;
  const given = typeof key === 'string' && key !== '' ? key : /^Bearer (.+)$/iu.exec(authorization ?? '')?.[1];
  if (given === undefined) throw new Refusal(401, 'authentication_error', 'x-api-key header is required');
  if (given === 'invalid') throw new Refusal(401, 'authentication_error', 'invalid x-api-key');
}
