import { Logger } from '@nestjs/common';
import { logLine } from './log-line.js';

/** Lines that libraries print and that the log may repeat, since they are only about the stores. */
const SAFE = [/^BullMQ: PostgreSQL \d+ or newer is recommended for the PostgreSQL backend \(detected [\w.]+\)\.$/];

/** Lines about findings that the examination of Redis logs in our own words. */
const KNOWN = [/^IMPORTANT! Eviction policy is /, /^It is highly recommended to use a minimum Redis version /];

const METHODS = { debug: 'debug', log: 'log', info: 'log', warn: 'warn', error: 'error', trace: 'debug' } as const;

/**
 * Makes the log report that a library printed a line, or that Node warned: otherwise plain text would stand among lines of JSON. The log
 * leaves out words that it does not know, since they may quote a client.
 * @returns a function that gives the console back
 */
export function logWhatIsPrinted(): () => void {
  const logger = new Logger('console');
  const own = { ...console };
  for (const [method, level] of Object.entries(METHODS) as [
    keyof typeof METHODS,
    'debug' | 'log' | 'warn' | 'error',
  ][]) {
    console[method] = (...printed: unknown[]): void => {
      const [text] = printed;
      if (typeof text === 'string' && KNOWN.some((known) => known.test(text))) return;
      const words =
        typeof text === 'string' && SAFE.some((safe) => safe.test(text)) ? text : 'a library printed something';
      logger[level](
        logLine(
          words,
          {},
          printed.find((one) => one instanceof Error),
        ),
      );
    };
  }
  const nodes = process.listeners('warning');
  const warned = (warning: Error): void => logger.warn(logLine('Node warns', {}, warning));
  process.removeAllListeners('warning').on('warning', warned);
  return () => {
    Object.assign(console, own);
    process.off('warning', warned);
    for (const listener of nodes) process.on('warning', listener);
  };
}
