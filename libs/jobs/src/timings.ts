/**
 * Timings and bounds of a job's life. They live in one file so that the two apps cannot disagree;
 * docs/guarantees.md states the bounds that follow from them.
 */

/** A running attempt counts as lost this long after its worker last extended it, in seconds. */
export const LEASE_SECONDS = 10;

/** How often a worker extends its leases and saves the drafts, in milliseconds. */
export const HEARTBEAT_MS = 2_500;

/** How often each worker looks for jobs that the queue lost or whose lease ran out, in milliseconds. */
export const RECONCILE_MS = 2_000;

/** If a queued job is overdue by this long, the queue lost it (or it waits behind others), in seconds. */
export const LOST_AFTER_SECONDS = 5;

/** Attempts of a job that may be lost or fail. After the last of them the job ends as `failed`. */
export const MAX_ATTEMPTS = 5;

/**
 * How many attempts of a job may fail without counting, because the model is away or an operator has to act. In an outage a single job is
 * tried every 15 s (LONGEST_OPEN_MS), so this number lasts for its hour.
 */
export const MOST_FREE_ATTEMPTS = 240;

/** How many attempts may end without text. A second attempt may have text; a third would only cost money. */
export const MOST_EMPTY_ANSWERS = 2;

/** How many attempts may be cut off because their call took too long. Each of them costs the full price. */
export const MOST_ENDLESS_ANSWERS = 2;

/** How often an answer that the model pauses (`pause_turn`) is continued within a turn. */
export const MOST_CONTINUATIONS = 8;

/** Most calls of the model in one turn, and most tool calls in one step, unless the assistant's definition says otherwise. */
export const MOST_STEPS = 16;
export const MOST_CALLS_A_STEP = 16;

/** Most tokens of a prompt, unless the assistant's definition says otherwise: the smallest context of a model in use has room for a reply. */
export const CONTEXT_TOKENS = 150_000;

/**
 * Most messages of a prompt, those left out included. With more, the next prompt begins later in the chat. A claim reads some more than
 * that, since a chat may have further user messages that no reply came to.
 */
export const MOST_MESSAGES = 300;
export const MOST_MESSAGES_READ = 400;

/** How long a summary of a chat's oldest messages may take, in milliseconds. Its user waits for the reply meanwhile. */
export const SUMMARY_MS = 60_000;

/** How many attempts of a job may pay for a summary that comes to nothing. After that the messages are left out without one. */
export const MOST_LOST_SUMMARIES = 2;

/** Most bytes of all results of a turn's tool calls, in UTF-8: the reply, with its calls, is one event of a stream. */
export const MOST_RESULT_BYTES = 8 * 1024 * 1024;

/** How long a turn waits for a person, unless the assistant's definition says otherwise, in seconds: a day. */
export const WAIT_FOR_PERSON_SECONDS = 24 * 60 * 60;

/** A job that has not ended this long after it was accepted fails with `expired`, in seconds. A running attempt may still end it. */
export const LONGEST_LIFE_SECONDS = 60 * 60;

/**
 * Every eighth claimed job is the one that has waited longest, of any user. Otherwise a user's second turn would wait as long as new users
 * come.
 */
export const OLDEST_EVERY = 8;

/** Most jobs that one statement claims: the number of claims between two claims of the oldest job. */
export const CLAIMED_AT_ONCE = OLDEST_EVERY - 1;

/** Most rows that one statement of the reconciler reads. */
export const RECONCILE_BATCH = 500;

/** Most old rows that one statement removes. */
export const PURGE_BATCH = 10 * RECONCILE_BATCH;

/** Waiting time before attempt `attempts + 1`, in milliseconds: 1 s, 2 s, 4 s, 8 s, with up to a quarter more by chance. */
export function backoffMs(attempts: number): number {
  // Attempts that were handed back, or failed in an outage, raise the number but do not count. So the wait is bounded.
  const steps = Math.min(Math.max(0, attempts - 1), MAX_ATTEMPTS - 2);
  return Math.round(1_000 * 2 ** steps * (1 + Math.random() / 4));
}

/** The longest `retry-after` of the model that is obeyed, in milliseconds. */
export const LONGEST_RETRY_AFTER_MS = 60_000;

/** While the database is away, how often a worker tries to store an attempt's end, and for how long, in milliseconds. */
export const WRITE_AGAIN_MS = 500;
export const LONGEST_WRITING_MS = LONGEST_LIFE_SECONDS * 1_000;

/**
 * How long a job's worker may take to cancel the job with all of its text, in milliseconds. After that the API cancels the job itself, with
 * the text of the last heartbeat.
 */
export const CANCEL_MS = 800;

/*
 * A stopping worker gives its attempts the `WORKER_DRAIN_SECONDS` to finish. The oldest attempt is the likeliest to be nearly done. So in
 * the last part of that time the worker hands attempts back one after the other, the youngest first. That part is HAND_BACK_IN_LAST of the
 * time, or HAND_BACK_OVER_MS milliseconds. The next bounds, in milliseconds, are for storing the handed-back jobs, for closing the queue
 * and the timers when no attempt runs, and for all of this until the process has ended.
 */
export const HAND_BACK_IN_LAST = 1 / 4;
export const HAND_BACK_OVER_MS = 5_000;
export const HAND_BACK_MS = 4_000;
export const CLOSE_MS = 2_000;
export const AFTER_DRAIN_MS = 17_000;

/**
 * Jobs that a stopping worker hands back are left to new workers for this long, in seconds. The other workers may stop next, and then the
 * reply would begin, and cost money, once more. A worker that replaces another starts within this time.
 */
export const LEFT_TO_NEW_SECONDS = LOST_AFTER_SECONDS;

/** A worker is new if it was started after the stopping worker began to stop, or in this last part of the stopping worker's life before that. */
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
 * If a job fails again after others were answered, neither it nor its user's other jobs count towards an outage. This lasts for SUSPECT_MS
 * milliseconds, and only while the model has answered a call in the last ANSWERED_LATELY_MS.
 */
export const SUSPECT_MS = 60_000;
export const ANSWERED_LATELY_MS = 3_000;

/**
 * If a probe is still unanswered after this long, a job that was never tried may probe, too, in milliseconds. Otherwise one silent call
 * could delay all users for as long as a call may be silent.
 */
export const AFRESH_BESIDE_MS = 2_000;

/**
 * How long workers do not call the model when an operator has to act (key, credit, a model that is gone), in milliseconds: the shortest and
 * the longest.
 */
export const SHORTEST_HOLD_MS = 1_000;
export const LONGEST_HOLD_MS = 60_000;

/** After an outage this many attempts begin at once. Each answer that begins allows one more, until this many run. */
export const FIRST_AFTER_OUTAGE = 2;
export const RAMP_ENDS_AT = 32;

/**
 * How long an attempt without an answer counts as one of these, in milliseconds. Otherwise a few silent calls of one user would hold all
 * others back for as long as a call may be silent.
 */
export const RAMP_COUNTS_MS = 1_000;

/** The probe is the job with the fewest attempts among this many. */
export const PROBE_AMONG = 100;

/** A hold (a row for operators) that no worker has renewed for this long after its time is a dead worker's, in seconds. */
export const STALE_HOLD_SECONDS = 120;

/*
 * Deletion works in batches, so that no statement is long: a batch releases RELEASE_BATCH chats, or deletes CLEAR_BATCH rows of each kind.
 * Workers leave a chat alone for CLEAR_AFTER_SECONDS, so that the request that deleted it can clear it first.
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

/** How long the service keeps what assistants spent on a day, in days. Budgets ask for today only. */
export const SPENDING_DAYS = 7;
