/**
 * Timings and bounds of a job's life. They live in one file so that the two apps cannot disagree;
 * the README states the bounds that follow from them.
 */

/** A running attempt counts as lost this long after its worker last extended it, in seconds. */
export const LEASE_SECONDS = 10;

/** How often a worker extends its leases and checkpoints the drafts, in milliseconds. */
export const HEARTBEAT_MS = 2_500;

/** How often each worker looks for jobs that the queue lost or whose lease ran out, in milliseconds. */
export const RECONCILE_MS = 2_000;

/** A queued job whose due moment is this far past was lost by the queue (or waits behind others), in seconds. */
export const LOST_AFTER_SECONDS = 5;

/** Attempts a job may begin; the row ends `failed` after the last. */
export const MAX_ATTEMPTS = 4;

/** Rows the reconciler looks at in one go. */
export const RECONCILE_BATCH = 500;

/** Waiting time before attempt `attempts + 1`, in milliseconds: 1 s, 2 s, 4 s, with up to a quarter more by chance. */
export function backoffMs(attempts: number): number {
  return Math.round(1_000 * 2 ** Math.max(0, attempts - 1) * (1 + Math.random() / 4));
}

/** The longest a model's `retry-after` is obeyed, in milliseconds. */
export const LONGEST_RETRY_AFTER_MS = 60_000;
