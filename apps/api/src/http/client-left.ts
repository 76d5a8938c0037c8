import type { FastifyReply } from 'fastify';
import { whenTokenEnds } from '../auth/token-end.js';

/** How long requests have waited so far, in milliseconds, found by their answers and by their clients' leave. */
const waits = new WeakMap<FastifyReply | AbortSignal, { ms: number }>();

/**
 * Aborts when nobody may wait for the answer any more: the client's connection closes before it was answered, or the token of the
 * request ends (`tokenEndsAt`, in milliseconds since the epoch).
 */
export function clientLeft(reply: FastifyReply, tokenEndsAt: number): AbortSignal {
  const controller = new AbortController();
  const keepOn = whenTokenEnds(tokenEndsAt, () => controller.abort());
  reply.raw.once('close', () => {
    keepOn();
    if (!reply.raw.writableFinished) controller.abort();
  });
  const wait = { ms: 0 };
  waits.set(reply, wait).set(controller.signal, wait);
  return controller.signal;
}

/** The request that ends early with `left` has waited for so long because its client wanted that, and not because we were slow. */
export function hasWaited(left: AbortSignal, ms: number): void {
  const wait = waits.get(left);
  if (wait !== undefined) wait.ms += ms;
}

/** How long the request has waited like this, in milliseconds. */
export function waitedMs(reply: FastifyReply): number {
  return waits.get(reply)?.ms ?? 0;
}
