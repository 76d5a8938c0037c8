/*
 * Definitions of tools name environment variables, so that secrets and the addresses of servers do not stand in the assistants file. Each
 * use reads the variable.
 */

/** A variable that a definition names has no value, or one that does not fit. The message is a sentence with its name, never its value. */
export class VariableFault extends Error {
  constructor(
    readonly variable: string,
    words: string,
  ) {
    super(`${variable} ${words}.`);
    this.name = 'VariableFault';
  }
}

const HEADER_FROM_VARIABLE = /^env:([A-Za-z_]\w*)$/;
const URL_FROM_VARIABLE = /^env:([A-Za-z_]\w*)(\/.*)?$/s;

/** What the value of a header can hold (RFC 9110, section 5.5). */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether a header's value is `env:NAME`. */
export const isVariable = (value: string): boolean => HEADER_FROM_VARIABLE.test(value);

/**
 * The value of a tool's header: for `env:NAME` that of the variable, without white space around it; any other text is the value itself.
 *
 * @throws VariableFault if the variable is missing or empty, or no header can carry it
 */
export function resolveHeader(value: string, env: NodeJS.ProcessEnv = process.env): string {
  const name = HEADER_FROM_VARIABLE.exec(value)?.[1];
  if (name === undefined) return value;
  const found = variable(name, env);
  if (!HEADER_VALUE.test(found)) throw new VariableFault(name, 'holds characters that no header can carry');
  return found;
}

/**
 * The address of a tool: `env:NAME/path` is `path` below the address in the variable, `env:NAME` that address itself. Any other text must
 * be an address.
 *
 * @throws VariableFault if the variable is missing, empty or no `http://` or `https://` address
 * @throws TypeError if `url` names no variable and is no such address
 */
export function resolveUrl(url: string, env: NodeJS.ProcessEnv = process.env): URL {
  const [, name, path = ''] = URL_FROM_VARIABLE.exec(url) ?? [];
  if (name === undefined) {
    if (!/^https?:/i.test(url)) throw new TypeError('its url must begin with https://, http:// or env:NAME.');
    return new URL(url);
  }
  const base = variable(name, env).replace(/(?<!\/)\/+$/, '');
  const { protocol, username, password, search, hash } = URL.canParse(base) ? new URL(base) : ({} as Partial<URL>);
  if (protocol !== 'https:' && protocol !== 'http:') {
    throw new VariableFault(name, 'must be an address that begins with https:// or http://');
  }
  if (username || password) throw new VariableFault(name, 'must have no user and no password in it');
  if (search || hash) throw new VariableFault(name, 'must have no ? and no # in it');
  return new URL(`${base}${path}`);
}

function variable(name: string, env: NodeJS.ProcessEnv): string {
  const value = env[name]?.trim();
  if (value === undefined || value === '') throw new VariableFault(name, 'is not set');
  return value;
}
