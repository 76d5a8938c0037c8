import { isVariable, resolveHeader, resolveUrl, VariableFault } from '#settings/named-variables.js';
import type { Checking } from './checking.js';
import { Fields } from './fields.js';

/** Longest time of one call of a tool, and its default, in seconds. */
const LONGEST_CALL_SECONDS = 300;
const DEFAULT_CALL_SECONDS = 30;

const LONGEST_URL = 2_000;
const MOST_HEADERS = 32;
const LONGEST_HEADER = 4_000;

/** A header's name (RFC 9110, section 5.1) and the part of its value that a file can hold. */
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,100}$/i;
const VALUE = /^[\t\x20-\x7e]*$/;

/** Headers whose values are secrets. */
const SECRET = /^(?:authorization|cookie|proxy-authorization)$|key|token|secret/i;

/** Headers that the service sets itself. */
const OURS =
  /^(?:host|connection|content-length|transfer-encoding|expect|te|trailer|upgrade|content-type|accept|accept-encoding|user-agent|idempotency-key|traceparent|(?:webhook|mcp)-.*)$/i;

/** The fields of a request to another server: its address, its headers, its longest time. */
export interface RequestFields {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeout_seconds: number;
}

/** The names of the fields that {@link checkRequest} reads. */
export const REQUEST_FIELDS = ['url', 'headers', 'timeout_seconds'];

/** Checks the address and the headers of a tool or an MCP server. The variables that they name must have values that fit. */
export function checkRequest(fields: Fields, checking: Checking): RequestFields {
  return {
    url: checkUrl(fields, checking),
    headers: checkHeaders(fields, checking),
    timeout_seconds: fields.integer('timeout_seconds', 1, LONGEST_CALL_SECONDS, DEFAULT_CALL_SECONDS),
  };
}

function checkUrl(fields: Fields, { env, faults }: Checking): string {
  const before = faults.all.length;
  const url = fields.text('url', LONGEST_URL);
  if (faults.all.length > before) return url;
  try {
    const { username, password } = resolveUrl(url, env);
    if (username !== '' || password !== '') fields.fault('url', 'must have no user and no password in it');
  } catch (error) {
    fields.fault('url', variableWords(error) ?? 'must be an address that begins with https://, http:// or env:NAME');
  }
  return url;
}

function checkHeaders(fields: Fields, { env, faults }: Checking): Record<string, string> {
  if (!fields.has('headers')) return {};
  const path = [...fields.path, 'headers'];
  const headers = Fields.of(fields.values['headers'], path, faults);
  const entries = Object.entries(headers?.values ?? {});
  if (entries.length > MOST_HEADERS) faults.add(path, `must have at most ${MOST_HEADERS} headers`);
  const seen = new Set<string>();
  for (const [name, value] of entries) {
    const fault = seen.has(name.toLowerCase()) ? 'is there twice' : headerFault(name, value, env);
    if (fault !== undefined) headers?.fault(name, fault);
    seen.add(name.toLowerCase());
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

function headerFault(name: string, value: unknown, env: NodeJS.ProcessEnv | undefined): string | undefined {
  if (!NAME.test(name)) return 'is no name of a header';
  if (OURS.test(name)) return 'is set by this service';
  if (typeof value !== 'string') return 'must be a string';
  if (isVariable(value)) {
    try {
      resolveHeader(value, env);
      return undefined;
    } catch (error) {
      return variableWords(error);
    }
  }
  // No message repeats the value: it may be a secret that should not stand here.
  if (SECRET.test(name)) {
    return 'must be env:NAME, an environment variable with the whole value: secrets do not stand in this file';
  }
  if (value.startsWith('env:'))
    return 'must have the name of a variable after env:, of letters, digits and underscores';
  if (!VALUE.test(value)) return 'must have only ASCII characters, without line breaks';
  if (value.length > LONGEST_HEADER) return `must be at most ${LONGEST_HEADER} characters long`;
  return undefined;
}

function variableWords(error: unknown): string | undefined {
  return error instanceof VariableFault ? `names a variable: ${error.message.replace(/\.$/, '')}` : undefined;
}
