import { has } from '../test/support/machine.js';
import { type Stack, type StackOptions, startStack } from '../test/support/stack.js';

/** The store of a stack's queue and feed. */
export type Store = 'postgres' | 'redis';

export const STORE_NAMES: Readonly<Record<Store, string>> = { postgres: 'PostgreSQL', redis: 'Redis' };

/** The stores that this machine can start. Prints a line when Redis is not one of them. */
export function storesHere(): Store[] {
  if (has('redis-server')) return ['postgres', 'redis'];
  console.log('No redis-server on this machine: PostgreSQL alone.');
  return ['postgres'];
}

/** The conventional exit code after Ctrl-C: 128 and the signal's number. */
const INTERRUPTED = 130;

/**
 * Does `work` with a stack whose queue is on `store`, and stops the stack in any case. On Ctrl-C the process then ends, and the promise
 * never settles.
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
    // The stack is being stopped, so errors mean nothing now.
    if (interrupted) await new Promise(() => undefined);
    throw error;
  } finally {
    await stop();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
}
