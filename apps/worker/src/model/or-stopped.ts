import { APIUserAbortError } from '@anthropic-ai/sdk';

/** The result of `work`, or the SDK's error for a stopped call as soon as the signal aborts. The work may go on, and nobody waits for it. */
export async function orStopped<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(new APIUserAbortError());
  });
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
