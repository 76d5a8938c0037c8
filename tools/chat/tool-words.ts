import type { SourcePart, ToolCall, ToolCallStatus } from '@rejoinder/client';

/** Most characters of an input or a result in one line. */
const LONGEST = 160;

/**
 * What may not stand in one line of a terminal: control characters, other ends of lines, and characters that turn the direction of writing
 * and so could show another input than the one that is approved.
 */
const NOT_IN_LINE = /[\p{Cc}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu;

const STATES: Readonly<Record<ToolCallStatus, string>> = {
  awaiting_approval: 'waits for an approval',
  awaiting_result: 'waits for a result',
  queued: 'is next',
  running: 'runs',
  succeeded: 'gave',
  failed: 'failed:',
  denied: 'was denied',
  canceled: 'was canceled',
  expired: 'was not answered in time',
};

/** A tool call and its state in one line. All of it is untrusted text, so the line has no control characters. */
export function lineOf({ name, input, status, result, reason }: ToolCall): string {
  const given = status === 'succeeded' || status === 'failed' ? ` ${brief(result ?? '')}` : '';
  const why = reason === null ? '' : ` (${brief(reason)})`;
  return `⚙ ${brief(name)} ${brief(JSON.stringify(input))} ${STATES[status] ?? inLine(status)}${given}${why}`;
}

/** A source of a reply in one line. It is untrusted text, too. */
export function sourceLineOf({ url, title }: SourcePart): string {
  return `source: ${title === null ? '' : `${brief(title)} `}${inLine(url)}`;
}

/** The whole input of a call, one property a line: a person must see all of what they approve. */
export function inputOf({ input }: ToolCall): string {
  const lines = Object.entries(input).map(([name, value]) => `  ${inLine(name)}: ${inLine(JSON.stringify(value))}`);
  return lines.length === 0 ? '  (no input)' : lines.join('\n');
}

/** Untrusted text in one line. */
export function inLine(text: string): string {
  return text.replace(NOT_IN_LINE, '\ufffd');
}

function brief(text: string): string {
  const line = inLine(text.trim().replace(/\s+/g, ' '));
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}
