import { constants } from 'node:os';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Ends the process at once on a signal, with 128 plus the signal's number, as a shell reports it. That is the default, except for process
 * 1. A program in a container is process 1: the system delivers to it only the signals that it handles (pid_namespaces(7)).
 *
 * @returns call it when the process has begun something that must be stopped in order
 */
export function leaveOnSignal(): () => void {
  const leave = (signal: NodeJS.Signals): never => process.exit(128 + constants.signals[signal]);
  for (const signal of SIGNALS) process.on(signal, leave);
  return () => {
    for (const signal of SIGNALS) process.off(signal, leave);
  };
}
