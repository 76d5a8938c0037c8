import type { FastifyReply } from 'fastify';
import { whenTokenEnds } from '../auth/token-end.js';

/** How long requests have waited at their clients' wish, in milliseconds. */
const waits = new WeakMap<FastifyReply | AbortSignal, { ms: number }>();

/**
 * Makes a signal that aborts when the request may wait no longer: its connection closes before the answer, or its token ends
 * (`tokenEndsAt`, in milliseconds since the epoch).
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

/** Notes how long the request of `left` has waited at its client's wish: that time does not show a slow service. */
export function hasWaited(left: AbortSignal, ms: number): void {
  const wait = waits.get(left);
  if (wait !== undefined) wait.ms += ms;
}

/** How long the request has waited at its client's wish, in milliseconds. */
export function waitedMs(reply: FastifyReply): number {
  return waits.get(reply)?.ms ?? 0;
}
