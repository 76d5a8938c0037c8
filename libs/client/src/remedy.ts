import type { JobErrorCode } from './types.js';

/**
 * A way out of a failed turn:
 *
 * - `shorten`: a shorter message;
 * - `try_later`: the same message, some time later. After `action_expired` it may come at once, if somebody decides this time;
 * - `another_message`: a message that says it differently;
 * - `operator`: nothing that the user does; those who run the service have to act.
 */
export type Remedy = 'shorten' | 'try_later' | 'another_message' | 'operator';

/** The contract's own table (`JobErrorCode` in `openapi.yaml`). A new code there does not compile until it has an entry here. */
const REMEDIES: Readonly<Record<JobErrorCode, Remedy>> = {
  model_unavailable: 'try_later',
  model_unauthorized: 'operator',
  model_budget: 'operator',
  model_misconfigured: 'operator',
  model_rejected: 'another_message',
  message_too_long: 'shorten',
  context_exceeded: 'shorten',
  answer_empty: 'another_message',
  answer_broken: 'try_later',
  answer_paused: 'another_message',
  attempts_exhausted: 'try_later',
  expired: 'try_later',
  action_expired: 'try_later',
  internal: 'operator',
};

/**
 * Says what a client can do about a failed job, by the code of its error (`job.error.code`). For a code that this client does not know,
 * from a newer service, it says `try_later`, which does no harm.
 */
export function remedyFor(code: JobErrorCode): Remedy {
  return (REMEDIES as Readonly<Partial<Record<string, Remedy>>>)[code] ?? 'try_later';
}
