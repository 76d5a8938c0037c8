import type { Server } from 'node:http';
import { type INestApplication, Logger } from '@nestjs/common';
import { inspectable } from './described-error.js';
import { leaveOnSignal } from './leave-on-signal.js';
import { line } from './log-line.js';
import { logWhatIsPrinted } from './printed.js';
import { StartFault } from './start-fault.js';

/** An app that listens. */
export interface Started {
  readonly app: INestApplication;
  /** How long it may take to stop, in milliseconds; left out: {@link STOP_MS}. */
  readonly stopMs?: number;
}

/**
 * Runs an app's start. A fault that its operator can mend (a {@link StartFault}, or a port in use) is printed as its
 * message alone; anything else with its stack. Either way the process ends with 1.
 */
export async function startApp(name: string, start: () => Promise<Started>): Promise<void> {
  process.on('unhandledRejection', (reason) => {
    // A bug, but no reason to drop every other request. It is logged and the process goes on.
    new Logger(name).error(line('unhandled rejection', {}, reason));
  });
  process.on('uncaughtException', (error) => {
    // Node would print it with what it quotes.
    new Logger(name).fatal(line('uncaught exception', {}, error));
    process.exit(1);
  });
  const begun = leaveOnSignal();
  const giveBack = logWhatIsPrinted();
  try {
    const { app, stopMs = STOP_MS } = await start();
    stopOnSignal(name, app, stopMs);
    begun();
    new Logger(name).log(`listening on ${await app.getUrl()}`);
  } catch (error) {
    giveBack();
    console.error(error instanceof StartFault ? error.message : (cannotListen(error) ?? inspectable(error)));
    process.exit(1);
  }
}

/** Longest graceful stop; whoever sends the signal must leave a little more before SIGKILL. In milliseconds. */
export const STOP_MS = 25_000;

/** Time the connections to the stores have to close in order, in milliseconds. */
const LEAVE_MS = 3_000;

/** SIGTERM, SIGINT and SIGHUP stop the app in order and end the process with 0; with 1 when that takes too long. */
function stopOnSignal(name: string, app: INestApplication, stopMs: number): void {
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      const logger = new Logger(name);
      logger.log(`${signal}: stopping`);
      setTimeout(() => {
        logger.error(`could not stop within ${stopMs / 1_000} s`);
        process.exit(1);
      }, stopMs).unref();
      // Once the port is closed only the stores are left to disconnect from, and they may be away.
      (app.getHttpServer() as Server).once('close', () => {
        setTimeout(() => {
          logger.warn('a store is away: not all connections were closed in order');
          process.exit(0);
        }, LEAVE_MS).unref();
      });
      app.close().then(
        () => process.exit(0),
        (error: unknown) => {
          logger.error(line('could not stop in order', {}, error));
          process.exit(1);
        },
      );
    });
  }
}

/** Faults of listening, in words that name the settings. */
function cannotListen(error: unknown): string | undefined {
  const { code, syscall, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (code === 'EADDRINUSE') return `Port ${port} is in use. Set PORT (api) or WORKER_PORT (worker) to a free one.`;
  if (syscall === 'listen' || code === 'ENOTFOUND') {
    return `Cannot listen on port ${port ?? '?'} of ${address ?? 'HOST'} (${code}). Look at HOST, and at PORT or WORKER_PORT.`;
  }
  return undefined;
}
