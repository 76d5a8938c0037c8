import { describeError } from './described-error.js';

/**
 * What a line of the log may say beside its words. It is a closed list, so that nothing gets in by way of an object at hand: never
 * a prompt, a reply, a title, metadata, a token, a key, or an address that a client asked for.
 */
export interface LogFields {
  readonly request_id?: string;
  readonly job_id?: string;
  readonly chat_id?: string;
  readonly assistant?: string;
  readonly attempt?: number;
  /** A user as {@link UserTags} writes it: the same for the same user, and nobody's name. */
  readonly user?: string;
  /** The same of an operator, for what operators do. */
  readonly operator?: string;
  readonly method?: string;
  /** The path as the contract writes it. */
  readonly route?: string;
  readonly status?: number | string;
  /** How long it took, in milliseconds. */
  readonly ms?: number;
  /** A code of the catalogue, or of a job's error. */
  readonly code?: string;
  readonly reason?: string;
  readonly stop_reason?: string;
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly count?: number;
}

/** A line of the log with fields; handed to Nest's `Logger` as its message. */
export class LogLine {
  constructor(
    readonly words: string,
    readonly fields: LogFields,
    readonly error: object | undefined,
  ) {}
}

/** A line of the log: its words, which hold nothing that anybody has sent, its fields, and the error it tells of. */
export function line(words: string, fields: LogFields = {}, error?: unknown): LogLine {
  return new LogLine(words, fields, error === undefined ? undefined : describeError(error));
}
