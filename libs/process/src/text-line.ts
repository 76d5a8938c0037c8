/** Fields with a place of their own in a line. */
const PLACED = new Set(['time', 'level', 'app', 'context', 'msg', 'error']);

/** Characters that a terminal takes for commands, that break lines or that change the order of letters (C0, DEL, C1, and Unicode's own). */
// eslint-disable-next-line no-control-regex -- these
const ORDERS = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** Formats a log line, given as JSON, for people: time, level, context, words; then the fields; then, below, an error. */
export function asText(json: string): string {
  const line = JSON.parse(json) as Record<'time' | 'level' | 'context' | 'msg', string> & {
    error?: Record<string, unknown>;
  };
  const { time, level, context, msg, error } = line;
  const fields = Object.entries<unknown>(line).filter(([name]) => !PLACED.has(name));
  const words = [
    time.slice(11, 23),
    level.toUpperCase().padEnd(5),
    ...(context === '' ? [] : [`[${context}]`]),
    shown(msg),
    ...fields.map(([name, value]) => `${name}=${shown(value)}`),
  ];
  return `${words.join(' ')}\n${error === undefined ? '' : errorText(error)}`;
}

function errorText({ stack, cause, ...fields }: Record<string, unknown>): string {
  const words = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`);
  const below = typeof stack === 'string' ? `${stack}\n` : '';
  const because = typeof cause === 'object' && cause !== null ? errorText(cause as Record<string, unknown>) : '';
  return `      ${words.join(' ')}\n${below}${because}`;
}

/** Escapes these characters, as JSON does. */
function shown(value: unknown): string {
  return String(value).replace(ORDERS, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
