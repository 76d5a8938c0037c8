import { ConsoleLogger, type LogLevel as NestLevel } from '@nestjs/common';
import type { LogLevel, Settings } from '#settings/settings.js';

/** Nest's names for the levels at and above ours. */
const NEST_LEVELS: Readonly<Record<LogLevel, NestLevel[]>> = {
  trace: ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'],
  debug: ['debug', 'log', 'warn', 'error', 'fatal'],
  info: ['log', 'warn', 'error', 'fatal'],
  warn: ['warn', 'error', 'fatal'],
  error: ['error', 'fatal'],
  fatal: ['fatal'],
  silent: [],
};

/** What Nest says of its own wiring at start, a line for each module and route. */
const WIRING = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

/** Errors of a start are printed by `startApp`, once. */
const START_ERRORS = new Set(['ExceptionHandler', 'TypeOrmModule']);

/** One JSON object a line in production, readable lines elsewhere. */
export class AppLogger extends ConsoleLogger {
  constructor(settings: Settings) {
    super({
      json: settings.production,
      colors: !settings.production && process.stdout.isTTY === true,
      logLevels: NEST_LEVELS[settings.logLevel],
    });
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (!isFrom(WIRING, rest)) super.log(message, ...(rest as [string]));
  }

  override error(message: unknown, ...rest: unknown[]): void {
    if (!isFrom(START_ERRORS, rest)) super.error(message, ...(rest as [string]));
  }
}

/** Nest hands the context over as the last argument. */
function isFrom(contexts: ReadonlySet<string>, rest: readonly unknown[]): boolean {
  const context = rest.at(-1);
  return typeof context === 'string' && contexts.has(context);
}
