import { ConnectionError } from './errors.js';
import { type Http, LONGEST_TEXT } from './http.js';
import type { ExportLine } from './types.js';
import { linked } from './waiting.js';

/** In milliseconds. While its lines are read, the service is never silent for so long. */
const LONGEST_SILENCE_MS = 30_000;

/**
 * The lines of an export, read as the caller takes them. Leaving the loop ends the export.
 * @throws ConnectionError when it breaks off, so that the lines so far are not all; ApiError; or the signal's reason
 */
export async function* exportLines(http: Http, signal?: AbortSignal): AsyncGenerator<ExportLine, void, undefined> {
  const { controller: leave, letGo } = linked(signal);
  let silence: ReturnType<typeof setTimeout> | undefined;
  const listen = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => leave.abort(), LONGEST_SILENCE_MS);
  };
  const broke = (cause?: unknown): never => {
    signal?.throwIfAborted();
    throw new ConnectionError('The export broke off.', { cause });
  };
  try {
    listen();
    const headers = { accept: 'application/jsonl' };
    const response = await http
      .stream({ method: 'GET', path: '/me/export', headers }, leave.signal)
      .catch((error: unknown) => (leave.signal.aborted ? broke(error) : Promise.reject(error as Error)));
    if (!/jsonl/i.test(response.headers.get('content-type') ?? '') || response.body === null)
      throw http.foreign(response);
    http.seen();
    const reader = response.body.getReader();
    // Some `fetch` implementations do not end a read under way when they are aborted.
    leave.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined));
    const decoder = new TextDecoder();
    // The pieces of an unfinished line. Joining them at each piece would take quadratic time for a long line.
    const begun: string[] = [];
    let characters = 0;
    for (;;) {
      listen();
      const { done, value } = await reader.read().catch(broke);
      clearTimeout(silence);
      if (done || leave.signal.aborted) return broke();
      const [first = '', ...others] = decoder.decode(value, { stream: true }).split('\n');
      begun.push(first);
      characters += first.length;
      if (characters > LONGEST_TEXT) throw new ConnectionError('A line of the export has no end.');
      for (const next of others) {
        const line = parse(begun.splice(0, begun.length, next).join('')) ?? broke();
        characters = next.length;
        yield line;
        if (line.type === 'end') return;
        signal?.throwIfAborted();
      }
    }
  } finally {
    clearTimeout(silence);
    letGo();
    leave.abort();
  }
}

function parse(text: string): ExportLine | undefined {
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === 'object' && line !== null && 'type' in line ? (line as ExportLine) : undefined;
  } catch {
    return undefined;
  }
}
