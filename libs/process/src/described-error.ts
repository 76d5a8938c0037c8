/*
 * Errors quote what they complain of. A JSON parser repeats the body, PostgreSQL the value ("invalid input syntax", "Key (…)
 * already exists"), V8 the text on which a property was set, the model the prompt, an address its password. So of an error the log has what
 * kind it is, its codes, and where in our code it came up; its words only where they are known to be nobody's.
 */

/** An error as the log has it. */
export interface DescribedError {
  readonly type: string;
  /** SQLSTATE, the system's code, or a status of HTTP. */
  readonly code?: string | number;
  readonly message?: string;
  /** What PostgreSQL says it is about, by names of ours. */
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
  /** The model's kind of error, and its name for the request, to ask for it there. */
  readonly kind?: string;
  readonly model_request_id?: string;
  readonly stack?: string;
  readonly cause?: DescribedError;
}

/** Deepest cause that is told. */
const DEEPEST = 3;

/** Frames of a stack that are told. */
const MOST_FRAMES = 12;

/** Names and codes: short, and without anything a sentence needs. */
const WORD = /^[\w.:-]{1,80}$/;

/** Kinds of error of the Messages API, and what a server that resembles it may make up beside them. */
const KIND = /^[a-z_]{1,40}_error$/;

/** Errors whose messages are written by this project, with nothing in them that a caller has sent. */
const OURS = new Set([
  'ModelFault',
  'ProxyFault',
  'TokenFault',
  'StartFault',
  'SettingsError',
  'PendingMigrationsError',
  'DatabaseUnreachableError',
  'AssistantsFileError',
]);

/** States of a PostgreSQL that is away, overloaded or not ours to enter (appendix A), or whose tables are not as we expect: its words are of itself and of us. */
const SERVER_STATE = /^(08|28|3D|53|57|58)...$|^(40001|40P01|55P03|25P03|25006|42501|42703|42883|42P01)$/;

/** Words of pg, of its pool, of TypeORM and of ioredis about connections, whole. */
const CONNECTION_WORDS = new Set([
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'Query read timeout',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Cannot use a pool after calling end on the pool',
  'PostgreSQL has fallen silent',
  'Connection is closed.',
  'Command timed out',
  "Stream isn't writeable and enableOfflineQueue options is false",
  'too many questions are unanswered',
  // Ours, of what the model sent.
  'not an event stream',
  'the stream ended before the message did',
  'the message is empty',
]);

/** Answers of Redis that speak of itself or of our rights; `ERR` repeats what it was sent. */
const REDIS_STATE =
  /^(NOPERM|NOAUTH|WRONGPASS|OOM|READONLY|LOADING|MISCONF|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|BUSY|TRYAGAIN)\b/;

/** What the log may know of whatever was thrown. */
export function describeError(thrown: unknown, depth = 0): DescribedError {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const error = thrown as Error & Record<string, unknown>;
  const inner = error.cause ?? error['driverError'];
  const message = safeMessage(error);
  // Ours say by their words where they come from; of an error and its causes the outermost has the whole way.
  const stack = depth === 0 && !OURS.has(error.name) ? framesOf(error) : undefined;
  return {
    type: word(error.name) ?? 'Error',
    ...pick('code', word(error['code']) ?? word(error['status'])),
    ...(message !== undefined && { message }),
    ...pick('constraint', word(error['constraint'])),
    ...pick('table', word(error['table'])),
    ...pick('column', word(error['column'])),
    ...modelFields(error),
    ...(stack !== undefined && { stack }),
    ...(inner instanceof Error && inner !== error && depth < DEEPEST && { cause: describeError(inner, depth + 1) }),
  };
}

/** The same in one short line. */
export function inBrief(thrown: unknown): string {
  const { type, code, message } = describeError(thrown);
  return message ?? (code === undefined ? type : `${type} ${code}`);
}

/** The same to be printed where there is no log, yet or at all. */
export function inspectable(thrown: unknown): string {
  const { stack, ...told } = describeError(thrown);
  return `${JSON.stringify(told)}${stack === undefined ? '' : `\n${stack}`}`;
}

/** The message of an error where it is known to quote nobody. */
function safeMessage(error: Error & Record<string, unknown>): string | undefined {
  const { message } = error;
  // The first line: some have an address's worth of hints below.
  const words = message.split('\n', 1)[0]?.slice(0, 300);
  if (words === undefined || words === '') return undefined;
  if (OURS.has(error.name)) return message.slice(0, 2_000);
  // The system's: what was tried, and the address it was tried at.
  if (typeof error['syscall'] === 'string') return words;
  if (CONNECTION_WORDS.has(message)) return words;
  const { code, severity } = (error['driverError'] ?? error) as { code?: unknown; severity?: unknown };
  if (severity === 'FATAL' || severity === 'PANIC') return words;
  if (typeof code === 'string' && SERVER_STATE.test(code)) return words;
  if (error.name === 'ReplyError') return REDIS_STATE.test(message) ? words : message.split(' ', 1)[0];
  return undefined;
}

/** Errors of the model's client carry its kind of error and its name for the request. */
function modelFields({ type, requestID }: Record<string, unknown>): Pick<DescribedError, 'kind' | 'model_request_id'> {
  const kind = typeof type === 'string' && KIND.test(type) ? type : undefined;
  return { ...pick('kind', kind), ...pick('model_request_id', word(requestID)) };
}

/** Where it came up: the frames, which come after the message. A stack that does not hold the message as it is tells nothing. */
function framesOf({ stack, message }: Error): string | undefined {
  const at = stack?.indexOf(message) ?? -1;
  if (stack === undefined || at === -1) return undefined;
  const after = stack.slice(at + message.length);
  const frames = after.split('\n').filter((frame) => /^\s+at .*(:\d+:\d+\)?|<anonymous>\)?|native\)?)$/.test(frame));
  return frames.length === 0 ? undefined : frames.slice(0, MOST_FRAMES).join('\n');
}

function word(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && WORD.test(text) ? text : undefined;
}

function pick<Name extends string>(name: Name, value: string | undefined): { [key in Name]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: string });
}
