import { constants } from 'node:os';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * A signal ends the process at once, with 128 and the signal's number as a shell would have it. That is what happens by itself,
 * but not to process 1, which a program is in a container: what that has not asked for is not delivered to it (pid_namespaces(7)).
 * Returns what to call when the process has begun something that must be stopped in order.
 */
export function leaveOnSignal(): () => void {
  const leave = (signal: NodeJS.Signals): never => process.exit(128 + constants.signals[signal]);
  for (const signal of SIGNALS) process.on(signal, leave);
  return () => {
    for (const signal of SIGNALS) process.off(signal, leave);
  };
}
