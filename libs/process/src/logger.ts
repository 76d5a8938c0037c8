import type { LoggerService } from '@nestjs/common';
import { type Level, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Settings } from '#settings/settings.js';
import { describeError } from './described-error.js';
import { type LogFields, LogLine } from './log-line.js';
import { standardOutput } from './log-stream.js';
import { masked } from './masked.js';
import { asText } from './text-line.js';

/** Contexts of Nest's own wiring at start: a line for each module and route. */
const WIRING = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

/** Left to `startApp`, which prints an error of a start once. */
const START_ERRORS = new Set(['ExceptionHandler', 'TypeOrmModule']);

/**
 * The log of an app: one JSON object a line (`LOG_FORMAT=json`, the default in production), or lines to read. It goes to stdout in order,
 * and no last line of a process that ends is lost.
 *
 * No client's input gets in. Our own lines are {@link LogLine}s, whose fields are a closed list. Errors appear as {@link describeError}
 * gives them. If a secret of the settings or a token comes in by another way, it is masked.
 */
export class AppLogger implements LoggerService {
  private readonly pino: Logger;

  constructor(settings: Settings, app: string) {
    const mask = masked(settings);
    const stdout = standardOutput();
    this.pino = pino(
      {
        level: settings.logLevel,
        base: { app },
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (level) => ({ level }) },
        hooks: { streamWrite: mask },
      },
      settings.logFormat === 'json' ? stdout : { write: (line: string) => stdout.write(asText(line)) },
    );
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  log(message: unknown, ...rest: unknown[]): void {
    if (!WIRING.has(contextOf(rest))) this.write('info', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    if (!START_ERRORS.has(contextOf(rest))) this.write('error', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Uses only the context of the framework's arguments: a stack begins with its error's message. */
  private write(level: Level, message: unknown, rest: readonly unknown[]): void {
    if (!this.pino.isLevelEnabled(level)) return;
    const { words, fields, error } = linesOf(message);
    this.pino[level]({ context: contextOf(rest), ...fields, ...(error !== undefined && { error }) }, words);
  }
}

function linesOf(message: unknown): { words: string; fields: LogFields; error?: object | undefined } {
  if (message instanceof LogLine) return message;
  if (typeof message === 'string') return { words: message, fields: {} };
  if (message instanceof Error) return { words: 'an error', fields: {}, error: describeError(message) };
  // An object of unknown content.
  return { words: `(${typeof message})`, fields: {} };
}

/** Nest hands the context over as the last argument. */
function contextOf(rest: readonly unknown[]): string {
  const context = rest.at(-1);
  return typeof context === 'string' && context.length < 60 && !context.includes('\n') ? context : '';
}
