import { has } from '../test/support/machine.js';
import { type Stack, type StackOptions, startStack } from '../test/support/stack.js';

/** Where a stack has its queue and its feed. */
export type Store = 'postgres' | 'redis';

export const STORE_NAMES: Readonly<Record<Store, string>> = { postgres: 'PostgreSQL', redis: 'Redis' };

/** The stores that this machine can start; says so when Redis is not among them. */
export function storesHere(): Store[] {
  if (has('redis-server')) return ['postgres', 'redis'];
  console.log('No redis-server on this machine: PostgreSQL alone.');
  return ['postgres'];
}

/** Conventional exit code of who was told to stop by Ctrl-C: 128 and the signal's number. */
const INTERRUPTED = 130;

/**
 * Does `work` with a stack whose queue is on `store`, and stops the stack whatever becomes of it; on Ctrl-C, too. The process then
 * ends, and `work` is not heard of any more.
 */
export async function withStack<T>(
  store: Store,
  options: StackOptions,
  work: (stack: Stack) => Promise<T>,
): Promise<T> {
  process.env['TEST_QUEUE'] = store;
  const starting = startStack(options);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= starting.then((stack) => stack.stop()));
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    void stop().finally(() => process.exit(INTERRUPTED));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    return await work(await starting);
  } catch (error) {
    // What fails now fails because the stack is being stopped.
    if (interrupted) await new Promise(() => undefined);
    throw error;
  } finally {
    await stop();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
}
