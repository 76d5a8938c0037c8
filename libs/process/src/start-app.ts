import type { Server } from 'node:http';
import { type INestApplication, Logger } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { isStoreAway } from '#errors/store-away.js';
import { inBrief, inspectable } from './described-error.js';
import { leaveOnSignal } from './leave-on-signal.js';
import { logLine } from './log-line.js';
import { logWhatIsPrinted } from './printed.js';
import { StartFault } from '#errors/start-fault.js';

/** An app that listens. */
export interface Started {
  readonly app: INestApplication;
  /** How long the app may take to stop, in milliseconds. The default is {@link STOP_MS}. */
  readonly stopMs?: number;
}

/**
 * Runs an app's start. If its operator can mend the fault (a {@link StartFault}, or a database that goes away meanwhile), only the message
 * is printed, and otherwise the stack, too. Either way the process ends with 1.
 */
export async function startApp(name: string, start: () => Promise<Started>): Promise<void> {
  process.on('unhandledRejection', (reason) => {
    // A bug, but no reason to drop every other request: the process logs it and goes on.
    new Logger(name).error(logLine('unhandled rejection', {}, reason));
  });
  process.on('uncaughtException', (error) => {
    // Node would print the message, which may quote input.
    new Logger(name).fatal(logLine('uncaught exception', {}, error));
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
    console.error(wordsOf(error));
    process.exit(1);
  }
}

/** Longest graceful stop, in milliseconds. Kubernetes, Compose and the like must wait a little longer before SIGKILL. */
export const STOP_MS = 25_000;

/** How long the connections to the stores may take to close in order, in milliseconds. */
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
      // Once the port is closed, only the connections to the stores remain, and the stores may be away.
      (app.getHttpServer() as Server).once('close', () => {
        setTimeout(() => {
          logger.warn('a store is away: the process leaves some connections open');
          process.exit(0);
        }, LEAVE_MS).unref();
      });
      app.close().then(
        () => process.exit(0),
        (error: unknown) => {
          logger.error(logLine('the stop failed', {}, error));
          process.exit(1);
        },
      );
    });
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof StartFault) return error.message;
  return isStoreAway(error)
    ? `The database of DATABASE_URL went away while this program started: ${inBrief(error)}.`
    : inspectable(error);
}

/**
 * Connections that may wait until the process accepts them. After a restart all clients come back at once, and a client that finds no room
 * is refused or waits for seconds. The system lowers the number to its own limit (`net.core.somaxconn`). Node's default is 511.
 */
const BACKLOG = 16_384;

/** Initialises an app and has it listen. @throws StartFault with words that name the settings */
export async function listen(app: NestFastifyApplication, port: number, host: string): Promise<void> {
  await app.init();
  try {
    await app.listen({ port, host, backlog: BACKLOG });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const words =
      code === 'EADDRINUSE'
        ? `Port ${port} is in use. Set PORT (api) or WORKER_PORT (worker) to a free one.`
        : `Cannot listen on port ${port} of ${host} (${code}). Look at HOST, and at PORT or WORKER_PORT.`;
    throw new StartFault(words, { cause: error });
  }
}
