/*
 * Errors quote input. A JSON parser repeats the body, PostgreSQL the value ("invalid input syntax", "Key (…) already exists"), V8 the text
 * on which a property was set, the model the prompt, and an error about an address its password. So the log has an error's kind, its codes
 * and the place in our code. It has the message only if that is known to quote no input.
 */

/** An error as the log shows it. */
export interface DescribedError {
  readonly type: string;
  /** SQLSTATE, the system's code, or an HTTP status. */
  readonly code?: string | number;
  readonly message?: string;
  /** The table, column or constraint that PostgreSQL names. */
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
  /** The type of the model's error, and the provider's id of the request, by which the provider's support finds it. */
  readonly kind?: string;
  readonly model_request_id?: string;
  readonly stack?: string;
  readonly cause?: DescribedError;
}

/** How many causes are logged. */
const DEEPEST = 3;

/** How many frames of a stack are logged. */
const MOST_FRAMES = 12;

/** A name or a code: short, and without spaces. */
const WORD = /^[\w.:-]{1,80}$/;

/** Error types of the Messages API, and others that a similar server may make up; then those of AWS, and of Google. */
const KIND = /^[a-z_]{1,40}_error$/;
const KIND_OF_AWS = /^[A-Za-z]{1,50}Exception$/;
const KIND_OF_GOOGLE = /^[A-Z_]{1,40}$/;

/** Errors whose messages this project writes, without any input of a client. */
const OURS = new Set([
  'ModelFault',
  'CredentialsFault',
  'McpServerAway',
  'ProxyFault',
  'TokenFault',
  'NoAnswer',
  'StartFault',
  'SettingsError',
  'PendingMigrationsError',
  'DatabaseUnreachableError',
  'AssistantsFileError',
]);

/**
 * Codes of PostgreSQL (appendix A) when it is away, overloaded or closed to us, or when its tables are not as expected. Their messages
 * describe only PostgreSQL and us.
 */
const SERVER_STATE = /^(08|28|3D|53|57|58)...$|^(40001|40P01|55P03|25P03|25006|42501|42703|42883|42P01)$/;

/** Whole messages of pg, its pool, TypeORM and ioredis about connections. */
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
  'too many requests are unanswered',
  // Our own, about the model's answer.
  'not an event stream',
  'the stream ended before the message did',
  'the message is empty',
]);

/** Answers of Redis about itself or our rights. Other answers with `ERR` repeat the command. */
const REDIS_STATE =
  /^(NOPERM|NOAUTH|WRONGPASS|OOM|READONLY|LOADING|MISCONF|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|BUSY|TRYAGAIN|ERR DB index is out of range)\b/;

/** The part of a thrown value that the log may show. */
export function describeError(thrown: unknown, depth = 0): DescribedError {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const error = thrown as Error & Record<string, unknown>;
  const inner = error.cause ?? error['driverError'];
  const message = safeMessage(error);
  // Our own errors need no stack: their message says where they come from. A cause needs none, since the outermost error has the whole
  // stack.
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

/** The same, for a program that prints it because it has no log, or none yet. */
export function inspectable(thrown: unknown): string {
  const { stack, ...fields } = describeError(thrown);
  return `${JSON.stringify(fields)}${stack === undefined ? '' : `\n${stack}`}`;
}

/** The message of an error, if it is known to quote no input. */
function safeMessage(error: Error & Record<string, unknown>): string | undefined {
  const { message } = error;
  // The first line only: some messages continue with long hints.
  const words = message.split('\n', 1)[0]?.slice(0, 300);
  if (words === undefined || words === '') return undefined;
  if (OURS.has(error.name)) return message.slice(0, 2_000);
  // The message of a system error: the call, and the address.
  if (typeof error['syscall'] === 'string') return words;
  if (CONNECTION_WORDS.has(message)) return words;
  const { code, severity } = (error['driverError'] ?? error) as { code?: unknown; severity?: unknown };
  if (severity === 'FATAL' || severity === 'PANIC') return words;
  if (typeof code === 'string' && SERVER_STATE.test(code)) return words;
  if (error.name === 'ReplyError') return REDIS_STATE.test(message) ? words : message.split(' ', 1)[0];
  return undefined;
}

/**
 * Fields that only errors of the model's client have. The Messages API names an error's type in its body, AWS in a header, and Google as a
 * status in the body.
 */
function modelFields(error: Record<string, unknown>): Pick<DescribedError, 'kind' | 'model_request_id'> {
  const { type, requestID, headers, error: body } = error;
  const header = (name: string): string => (headers instanceof Headers ? (headers.get(name) ?? '') : '');
  const [first] = [body].flat() as [{ error?: { status?: unknown } } | null | undefined];
  const ofAws = header('x-amzn-errortype').split(':', 1)[0];
  const kind = like(KIND, type) ?? like(KIND_OF_AWS, ofAws || type) ?? like(KIND_OF_GOOGLE, first?.error?.status);
  return { ...pick('kind', kind), ...pick('model_request_id', word(requestID) ?? word(header('x-amzn-requestid'))) };
}

/** The frames, which follow the message in a stack; none if the stack does not hold the message as it is. */
function framesOf({ stack, message }: Error): string | undefined {
  const at = stack?.indexOf(message) ?? -1;
  if (stack === undefined || at === -1) return undefined;
  const after = stack.slice(at + message.length);
  const frames = after.split('\n').filter((frame) => /^\s+at .*(:\d+:\d+\)?|<anonymous>\)?|native\)?)$/.test(frame));
  return frames.length === 0 ? undefined : frames.slice(0, MOST_FRAMES).join('\n');
}

function like(form: RegExp, value: unknown): string | undefined {
  return typeof value === 'string' && form.test(value) ? value : undefined;
}

function word(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && WORD.test(text) ? text : undefined;
}

function pick<Name extends string>(name: Name, value: string | undefined): { [key in Name]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: string });
}
