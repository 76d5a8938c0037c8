import { describeError } from './described-error.js';

/**
 * The fields of a log line. The list is closed, so that no object gets in by chance: never a prompt, a reply, a title, metadata, a token, a
 * key, or an address that a client asked for.
 */
export interface LogFields {
  readonly request_id?: string;
  readonly job_id?: string;
  readonly chat_id?: string;
  readonly assistant?: string;
  readonly attempt?: number;
  /** A user's tag (see {@link UserTags}): always the same for a user, and not the user's id. */
  readonly user?: string;
  /** An operator's tag, for operators' requests. */
  readonly operator?: string;
  readonly method?: string;
  /** The path as in the contract. */
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
  /** A tool's name in the assistant's definition, or in the list of an MCP server: never one that a model made up. */
  readonly tool?: string;
  readonly tool_call_id?: string;
  readonly outcome?: string;
}

/** A log line with fields. Nest's `Logger` takes it as its message. */
export class LogLine {
  constructor(
    readonly words: string,
    readonly fields: LogFields,
    readonly error: object | undefined,
  ) {}
}

/** Makes a log line. @param words must hold nothing that a client has sent @param error the error that the line is about */
export function logLine(words: string, fields: LogFields = {}, error?: unknown): LogLine {
  return new LogLine(words, fields, error === undefined ? undefined : describeError(error));
}
