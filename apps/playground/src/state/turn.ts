import { isFinal, type Job, type JobEvent, type Rejoinder } from '@rejoinder/client';
import type { Mode } from './preferences';
import type { Problem } from './problem';

/** A turn as this page sees it: from the click on "send" until its reply is in the history, or has failed. */
export interface Turn {
  /** The user's text until it is in the history; undefined for a turn that was found. */
  readonly text: string | undefined;
  /** Undefined until the service has accepted it. */
  readonly job: Job | undefined;
  readonly mode: Mode;
  /** Set when an attempt and its text were lost: the number of the present attempt. */
  readonly startedOver: number | undefined;
  readonly stopping: boolean;
  /** The page follows nothing any more. */
  readonly ended: boolean;
  readonly problem: Problem | undefined;
}

/** Times that only the page can measure. */
export interface Measured {
  /** From the click on "send" to the first piece of text, in milliseconds. */
  readonly firstPieceMs: number;
}

export const NEW_TURN: Turn = {
  text: undefined,
  job: undefined,
  mode: 'stream',
  startedOver: undefined,
  stopping: false,
  ended: false,
  problem: undefined,
};

/** An ended turn of which only the job is known. */
export function endedTurn(job: Job): Turn {
  return { ...NEW_TURN, job, ended: true, problem: problemOfJob(job) };
}

/** Why a job failed. `reported` is the problem from an event, which also has the request's id. */
export function problemOfJob({ error }: Job, reported?: Problem): Problem | undefined {
  return error === null ? reported : { ...reported, code: error.code, message: error.message };
}

export function isUnderWay(turn: Turn | undefined): turn is Turn & { readonly ended: false } {
  return turn !== undefined && !turn.ended;
}

/** How a turn is sent and watched. Both ways give the same events, but a poll gives no pieces. */
export interface Watched {
  readonly client: Rejoinder;
  readonly chatId: string;
  readonly mode: Mode;
  readonly signal: AbortSignal;
}

/** Sends a turn and watches it. With its key it can be sent again, and takes effect once. */
export function sent({ client, chatId, mode, signal }: Watched, text: string, key: string): AsyncIterable<JobEvent> {
  const options = { idempotencyKey: key, signal };
  if (mode === 'stream') return client.streamTurn(chatId, text, options);
  return (async function* () {
    const job = await client.startTurn(chatId, text, options);
    yield { type: 'job', job } as const;
    if (!isFinal(job)) yield* polled(client, job.id, signal);
  })();
}

/** Watches an existing turn. */
export function followed({ client, mode, signal }: Watched, jobId: string): AsyncIterable<JobEvent> {
  return mode === 'stream' ? client.followJob(jobId, { signal }) : polled(client, jobId, signal);
}

async function* polled(client: Rejoinder, jobId: string, signal: AbortSignal): AsyncGenerator<JobEvent> {
  for await (const job of client.pollJob(jobId, { signal })) yield { type: 'job', job };
}
