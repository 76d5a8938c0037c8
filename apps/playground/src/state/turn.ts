import { isFinal, type Job, type JobEvent, type Rejoinder } from '@rejoinder/client';
import type { Mode } from './preferences';
import type { Problem } from './problem';

/** A turn as this page sees it: from the click on "send" until its reply is in the history, or is not to come. */
export interface Turn {
  /** The user's text while it is not in the history yet; undefined for a turn that was found. */
  readonly text: string | undefined;
  /** Undefined until the service has accepted it. */
  readonly job: Job | undefined;
  readonly mode: Mode;
  /** Set when an attempt was lost and its text with it: the number of the one that writes now. */
  readonly startedOver: number | undefined;
  readonly stopping: boolean;
  /** Nothing is followed any more. */
  readonly ended: boolean;
  readonly problem: Problem | undefined;
}

/** What only the page can measure of a turn. */
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

/** The end of a turn of which only the job is known. */
export function endedTurn(job: Job): Turn {
  return { ...NEW_TURN, job, ended: true, problem: problemOfJob(job) };
}

/** Why a job came to nothing. `told`: what an event said of it, which has the request's id. */
export function problemOfJob({ error }: Job, told?: Problem): Problem | undefined {
  return error === null ? told : { ...told, code: error.code, message: error.message };
}

export function isUnderWay(turn: Turn | undefined): turn is Turn & { readonly ended: false } {
  return turn !== undefined && !turn.ended;
}

/** How a turn is sent and watched. Both tell the same events; a poll has no pieces of text. */
export interface Watched {
  readonly client: Rejoinder;
  readonly chatId: string;
  readonly mode: Mode;
  readonly signal: AbortSignal;
}

/** Sends a turn and watches it. Sent again with its key, it is not done twice. */
export function sent({ client, chatId, mode, signal }: Watched, text: string, key: string): AsyncIterable<JobEvent> {
  const options = { idempotencyKey: key, signal };
  if (mode === 'stream') return client.streamTurn(chatId, text, options);
  return (async function* () {
    const job = await client.startTurn(chatId, text, options);
    yield { type: 'job', job } as const;
    if (!isFinal(job)) yield* polled(client, job.id, signal);
  })();
}

/** Watches a turn that is there already. */
export function followed({ client, mode, signal }: Watched, jobId: string): AsyncIterable<JobEvent> {
  return mode === 'stream' ? client.followJob(jobId, { signal }) : polled(client, jobId, signal);
}

async function* polled(client: Rejoinder, jobId: string, signal: AbortSignal): AsyncGenerator<JobEvent> {
  for await (const job of client.pollJob(jobId, { signal })) yield { type: 'job', job };
}
