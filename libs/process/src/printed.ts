import { Logger } from '@nestjs/common';
import { logLine } from './log-line.js';

/** Prints of libraries that may be repeated: they are about the stores alone. */
const SAFE = [/^BullMQ: PostgreSQL \d+ or newer is recommended for the PostgreSQL backend \(detected [\w.]+\)\.$/];

/** Prints about findings that the examination of Redis logs in our own words. */
const KNOWN = [/^IMPORTANT! Eviction policy is /, /^It is highly recommended to use a minimum Redis version /];

const METHODS = { debug: 'debug', log: 'log', info: 'log', warn: 'warn', error: 'error', trace: 'debug' } as const;

/**
 * Has the log say that a library printed something, or Node warned of something: printed as it comes, it would be plain text among
 * lines of JSON. Its words are left out unless they are known, for nobody knows whom they quote.
 * @returns gives the console back
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
