/** Longest word of the server, such as a type, in a line of ours. */
const LONGEST_WORD = 100;

/**
 * The result of a tool as text, for a model. Text comes as it is; a link becomes a line with its title; what is no text is named in a line,
 * such as `[image/png, 12 kB, left out]`. The structured result, as JSON, stands in for text if there is none.
 *
 * @param content content blocks of MCP, whose shape is not checked
 */
export function resultText({
  content,
  structured,
}: {
  readonly content: readonly unknown[];
  readonly structured: unknown;
}): string {
  const lines: string[] = [];
  let hasText = false;
  for (const block of content) {
    const text = ownText(block);
    hasText ||= text !== undefined;
    lines.push(text ?? lineFor(block));
  }
  if (!hasText && structured !== undefined) lines.push(asJson(structured));
  return lines.join('\n');
}

/** A content block; each field may have any type. */
type Block = Readonly<Record<string, unknown>>;

/** The text of a block of text, or of an embedded resource that is text. */
function ownText(block: unknown): string | undefined {
  const { type, text, resource } = fieldsOf(block);
  if (type === 'text' && typeof text === 'string') return text;
  const inner = fieldsOf(resource)['text'];
  return type === 'resource' && typeof inner === 'string' ? inner : undefined;
}

function lineFor(block: unknown): string {
  const { type, mimeType, data, resource, uri, title, name } = fieldsOf(block);
  if (type === 'resource_link' && typeof uri === 'string')
    return `${word(title) ?? word(name) ?? 'link'}: ${oneLine(uri)}`;
  if (type === 'resource') {
    const { mimeType: kind, blob } = fieldsOf(resource);
    return leftOut(word(kind) ?? 'resource', blob);
  }
  return leftOut(word(mimeType) ?? word(type) ?? 'unknown content', data);
}

function leftOut(kind: string, base64: unknown): string {
  return typeof base64 === 'string' ? `[${kind}, ${sizeOf(base64)}, left out]` : `[${kind}, left out]`;
}

/** The size of what is encoded, rounded. */
function sizeOf(base64: string): string {
  const bytes = Math.floor((base64.length * 3) / 4);
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1_000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A short text of the server, in one line. */
function word(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? oneLine(value).slice(0, LONGEST_WORD) : undefined;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, ' ');
}

function fieldsOf(value: unknown): Block {
  return typeof value === 'object' && value !== null ? (value as Block) : {};
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return '[structured result, too deep, left out]';
  }
}
