/*
 * Errors of the SDK's clients, in the words of the Messages API whatever the provider. The clients for Bedrock and Vertex AI are bundles of
 * their own, so their errors have classes of their own, and `instanceof` does not find them. Names and fields do.
 */

/** The content of an answer that was an error. A field is empty or undefined where it said nothing of the kind. */
export interface ApiError {
  /** The status of HTTP. Undefined: the error came within an answer whose status was 200. */
  readonly status: number | undefined;
  readonly headers: Headers | undefined;
  /** As the Messages API names it: `rate_limit_error`. */
  readonly type: string | undefined;
  /** Tells more than the type: `error.details.error_code`. */
  readonly code: string;
  readonly words: string;
}

/** A call that was stopped, one without a connection, or an answer that is an error. */
export type Failure =
  { readonly kind: 'stopped' } | { readonly kind: 'unconnected' } | ({ readonly kind: 'answered' } & ApiError);

/** The meaning of an error of the SDK; undefined: the error is not one of the SDK's. */
export function readFailure(thrown: unknown): Failure | undefined {
  if (!(thrown instanceof Error) || !('requestID' in thrown) || !('status' in thrown)) return undefined;
  switch (thrown.name) {
    case 'APIUserAbortError':
      return { kind: 'stopped' };
    case 'APIConnectionError':
    case 'APIConnectionTimeoutError':
      return { kind: 'unconnected' };
    default:
      return { kind: 'answered', ...translated(thrown as unknown as RawError) };
  }
}

/** The fields of the SDK's `APIError`. */
interface RawError {
  readonly status: number | undefined;
  readonly headers: Headers | undefined;
  readonly error: unknown;
}

function translated({ status, headers, error }: RawError): ApiError {
  // Google wraps the errors of streams in a list.
  const body = fieldsOf(Array.isArray(error) ? error[0] : error);
  const inner = typeof body['error'] === 'object' && body['error'] !== null ? fieldsOf(body['error']) : body;
  const said = {
    status,
    headers,
    type: text(inner['type']) || undefined,
    code: text(fieldsOf(inner['details'])['error_code']) || text(inner['code']),
    words: text(inner['message']) || text(inner['Message']) || text(body['error']),
  };
  const aws = awsName(headers, inner);
  if (aws !== undefined) {
    const words = said.words.replace(AROUND_THE_MODEL, '');
    return { ...said, words, ...(AWS.get(aws) ?? unknownOfAws(status)), ...moreOfAws(aws, words) };
  }
  const google = text(inner['status']);
  return GOOGLE.has(google) ? { ...said, ...GOOGLE.get(google), ...moreOfGoogle(google, said.words) } : said;
}

type Meaning = Pick<ApiError, 'status' | 'type'>;

const UNAUTHENTICATED: Meaning = { status: 401, type: 'authentication_error' };
const DENIED: Meaning = { status: 403, type: 'permission_error' };
const NOT_FOUND: Meaning = { status: 404, type: 'not_found_error' };
const INVALID: Meaning = { status: 400, type: 'invalid_request_error' };
const LIMITED: Meaning = { status: 429, type: 'rate_limit_error' };
const LATE: Meaning = { status: 408, type: 'timeout_error' };
const FAILED: Meaning = { status: 500, type: 'api_error' };
const AWAY: Meaning = { status: 503, type: 'overloaded_error' };

/** Errors of AWS, by {@link awsName}. Those within a stream have no status. */
const AWS: ReadonlyMap<string, Meaning> = new Map([
  ['accessdenied', DENIED],
  ['expiredtoken', UNAUTHENTICATED],
  ['incompletesignature', UNAUTHENTICATED],
  ['internalfailure', FAILED],
  ['internalserver', FAILED],
  ['invalidclienttokenid', UNAUTHENTICATED],
  ['invalidsignature', UNAUTHENTICATED],
  ['missingauthenticationtoken', UNAUTHENTICATED],
  ['modelerror', FAILED],
  ['modelnotready', AWAY],
  ['modelstreamerror', FAILED],
  ['modeltimeout', LATE],
  ['optinrequired', DENIED],
  ['requesttimeout', LATE],
  ['resourcenotfound', NOT_FOUND],
  ['servicequotaexceeded', LIMITED],
  ['serviceunavailable', AWAY],
  ['signaturedoesnotmatch', UNAUTHENTICATED],
  ['throttling', LIMITED],
  ['toomanyrequests', LIMITED],
  ['unrecognizedclient', UNAUTHENTICATED],
  ['validation', INVALID],
]);

/** Errors of Google, by `google.rpc.Code`. */
const GOOGLE: ReadonlyMap<string, Meaning> = new Map([
  ['ABORTED', AWAY],
  ['CANCELLED', AWAY],
  ['DEADLINE_EXCEEDED', LATE],
  ['FAILED_PRECONDITION', INVALID],
  ['INTERNAL', FAILED],
  ['INVALID_ARGUMENT', INVALID],
  ['NOT_FOUND', NOT_FOUND],
  ['OUT_OF_RANGE', INVALID],
  ['PERMISSION_DENIED', DENIED],
  ['RESOURCE_EXHAUSTED', LIMITED],
  ['UNAUTHENTICATED', UNAUTHENTICATED],
  ['UNAVAILABLE', AWAY],
  ['UNKNOWN', FAILED],
]);

/** The status has to do for a name that is new. Within a stream there is none, and only a failure is certain. */
function unknownOfAws(status: number | undefined): Partial<Meaning> {
  return status === undefined ? FAILED : { type: undefined };
}

/**
 * The name of an error of AWS without `Exception`, in small letters; undefined: the error is not from AWS. The name stands in a header
 * (`Name:http://…`) or in the body (`…#Name`), and within a stream where the Messages API has its types.
 */
function awsName(headers: Headers | undefined, inner: Readonly<Record<string, unknown>>): string | undefined {
  const type = text(inner['type']);
  const inStream = /Exception$/.test(type) || (headers?.has('x-amzn-requestid') === true && !/_error$/.test(type));
  const name = headers?.get('x-amzn-errortype') || text(inner['__type']) || (inStream ? type : '');
  if (name === '') return undefined;
  const [before = ''] = name.split(':', 1);
  return before
    .slice(before.lastIndexOf('#') + 1)
    .replace(/(?:Exception|Error)$/, '')
    .toLowerCase();
}

/*
 * Some errors of the providers have a general name, and tell the rest by their first words. The words must be at the beginning: what follows
 * may be the request's.
 */

/** Words of AWS before those that the Messages API would say. */
const AROUND_THE_MODEL =
  /^(?:The model returned the following errors: |Malformed input request: #(?:\/|: extraneous key \[))/;

/** Words about a model's id that is wrong, or that needs the prefix of an inference profile. */
const UNKNOWN_MODEL_OF_AWS =
  /^(?:The provided model identifier is invalid|Invocation of model ID |Could not resolve the foundation model|1 validation error detected: Value '[^']*' at 'modelId')/;

function moreOfAws(name: string, words: string): Partial<ApiError> {
  if (name === 'servicequotaexceeded') return { code: 'quota_exceeded' };
  // An API key that is wrong, or too old.
  if (name === 'accessdenied') return /^(?:Authentication failed|Bearer Token)/i.test(words) ? UNAUTHENTICATED : {};
  if (name !== 'validation') return {};
  if (UNKNOWN_MODEL_OF_AWS.test(words)) return NOT_FOUND;
  // Without any detail: the account may not use the model.
  return /^Operation not allowed/.test(words) ? DENIED : {};
}

function moreOfGoogle(name: string, words: string): Partial<ApiError> {
  if (name === 'PERMISSION_DENIED')
    return /^This API method requires billing/.test(words) ? { code: 'billing_disabled' } : {};
  if (name !== 'FAILED_PRECONDITION' && name !== 'INVALID_ARGUMENT') return {};
  if (/^Project `[^`]*` is not allowed to use Publisher Model/.test(words)) return DENIED;
  // "… is not servable in region …"
  return /^Publisher Model `/.test(words) ? NOT_FOUND : {};
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
