/**
 * Timings and bounds of a job's life. They live in one file so that the two apps cannot disagree;
 * docs/guarantees.md states the bounds that follow from them.
 */

/** A running attempt counts as lost this long after its worker last extended it, in seconds. */
export const LEASE_SECONDS = 10;

/** How often a worker extends its leases and checkpoints the drafts, in milliseconds. */
export const HEARTBEAT_MS = 2_500;

/** How often each worker looks for jobs that the queue lost or whose lease ran out, in milliseconds. */
export const RECONCILE_MS = 2_000;

/** A queued job whose due moment is this far past was lost by the queue (or waits behind others), in seconds. */
export const LOST_AFTER_SECONDS = 5;

/** Attempts a job may begin and lose or fail; the row ends `failed` after the last. */
export const MAX_ATTEMPTS = 5;

/**
 * How many attempts of a job may fail without counting, because the model is away or an operator has to act. A job that is alone in an
 * outage is tried every 15 s (LONGEST_OPEN_MS), so this lasts for its hour.
 */
export const MOST_FREE_ATTEMPTS = 240;

/** How many attempts may end without text. A second one may have some; a third would only be paid for. */
export const MOST_EMPTY_ANSWERS = 2;

/** How many attempts may be cut because their call took too long. Each of them is paid for in full. */
export const MOST_ENDLESS_ANSWERS = 2;

/** How often an answer that the model pauses (`pause_turn`) is continued within a turn. */
export const MOST_CONTINUATIONS = 8;

/** A job that has not ended this long after it was accepted is given up (`expired`), in seconds. Attempts under way may end. */
export const LONGEST_LIFE_SECONDS = 60 * 60;

/**
 * Every eighth job claimed is the one that has waited longest, whichever user owns it. Otherwise a user's second turn would wait for as
 * long as new users come.
 */
export const OLDEST_EVERY = 8;

/** Most jobs that one statement claims: as many as stand between two claims of the oldest. */
export const CLAIMED_AT_ONCE = OLDEST_EVERY - 1;

/** Most rows that one statement of the reconciler reads. */
export const RECONCILE_BATCH = 500;

/** Most old rows that one statement removes. */
export const PURGE_BATCH = 10 * RECONCILE_BATCH;

/** Waiting time before attempt `attempts + 1`, in milliseconds: 1 s, 2 s, 4 s, 8 s, with up to a quarter more by chance. */
export function backoffMs(attempts: number): number {
  // Attempts that were handed back, or failed in an outage, have numbers and cost nothing. So the wait is bounded.
  const steps = Math.min(Math.max(0, attempts - 1), MAX_ATTEMPTS - 2);
  return Math.round(1_000 * 2 ** steps * (1 + Math.random() / 4));
}

/** The longest a model's `retry-after` is obeyed, in milliseconds. */
export const LONGEST_RETRY_AFTER_MS = 60_000;

/** How often a worker tries to write down how an attempt ended while the database is away, in milliseconds, and for how long. */
export const WRITE_AGAIN_MS = 500;
export const LONGEST_WRITING_MS = LONGEST_LIFE_SECONDS * 1_000;

/**
 * Time the worker that runs a job has to cancel it with all of its text, in milliseconds. After that it is cancelled over its
 * head, with the text of the last checkpoint.
 */
export const CANCEL_MS = 800;

/*
 * A worker that is told to stop lets its attempts finish for as long as `WORKER_DRAIN_SECONDS` says. The oldest is the likeliest to be
 * nearly done, so in the last part of that time attempts are handed back one after the other, the youngest first:
 * HAND_BACK_IN_LAST of it, or HAND_BACK_OVER_MS milliseconds. Bounds on what follows, in milliseconds: for writing down what was handed
 * back, for the queue to close when nothing runs and for what runs by the clock, and for all of it until the process has ended.
 */
export const HAND_BACK_IN_LAST = 1 / 4;
export const HAND_BACK_OVER_MS = 5_000;
export const HAND_BACK_MS = 4_000;
export const CLOSE_MS = 2_000;
export const AFTER_DRAIN_MS = 17_000;

/**
 * Turns that a stopping worker hands back are left to new workers for this long, in seconds: the others may be told to stop next, and the
 * reply would be begun, and paid for, once more. It is the time in which a worker starts in the place of another.
 */
export const LEFT_TO_NEW_SECONDS = LOST_AFTER_SECONDS;

/** A worker is new if it was started after the one that hands back was told to stop, or in this last part of that one's life until then. */
export const NEW_IN_LAST = 1 / 4;

/*
 * A worker's circuit keeps attempts from beginning while the model is away. It opens when OUTAGE_JOBS different jobs fail within OUTAGE_MS
 * and no answer begins. One attempt at a time then probes whether the model is back.
 */
export const OUTAGE_JOBS = 5;
export const OUTAGE_MS = 20_000;
export const SHORTEST_OPEN_MS = 1_000;
export const LONGEST_OPEN_MS = 15_000;

/**
 * A job that fails again after others were answered does not count towards an outage, nor do its user's other jobs: for SUSPECT_MS
 * milliseconds, and only while somebody was answered in the last ANSWERED_LATELY_MS.
 */
export const SUSPECT_MS = 60_000;
export const ANSWERED_LATELY_MS = 3_000;

/**
 * How long after a probe has begun, and is not answered yet, a job that was never tried may probe, too, in milliseconds. Another user's
 * call may be silent for as long as a call may.
 */
export const AFRESH_BESIDE_MS = 2_000;

/**
 * How long nothing is tried when an operator has to act (key, credit, a model that is gone), in milliseconds: the shortest and the longest.
 */
export const SHORTEST_HOLD_MS = 1_000;
export const LONGEST_HOLD_MS = 60_000;

/** After an outage this many attempts begin at once. Each answer that begins allows one more, until this many are under way. */
export const FIRST_AFTER_OUTAGE = 2;
export const RAMP_ENDS_AT = 32;

/**
 * How long an attempt without an answer counts among those, in milliseconds. Otherwise a few silent calls of one user would hold all others
 * back for as long as a call may be silent.
 */
export const RAMP_COUNTS_MS = 1_000;

/** The probe is the job with the fewest attempts among this many. */
export const PROBE_AMONG = 100;

/** A hold (a row for operators) that was not renewed this long after its time is a dead worker's, in seconds. */
export const STALE_HOLD_SECONDS = 120;

/*
 * Deletion works in batches, so that no statement is long: this many chats are released at a time, and this many rows of each kind deleted.
 * Workers leave a chat alone for CLEAR_AFTER_SECONDS, so that the request that deleted it clears it first.
 */
export const RELEASE_BATCH = 500;
export const CLEAR_BATCH = 1_000;
export const CLEAR_CHATS = 100;
export const CLEAR_AFTER_SECONDS = 5;
/** How often each worker looks for data to remove, in milliseconds. */
export const CLEAR_MS = 2_000;

/** How long an idempotency key is kept at least, in hours, and how often old ones are purged, in milliseconds. */
export const KEY_HOURS = 24;
export const PURGE_MS = 60_000;
