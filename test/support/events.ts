import { EventSourceParserStream } from 'eventsource-parser/stream';
import { timeLimit } from '#process/time-limit.js';
import { contract, judge } from './client.js';

/** An event of a stream. Its data was checked against the contract. */
export interface StreamEvent {
  readonly event: string;
  readonly id: string;
  readonly data: any;
}

interface ParsedEvent {
  readonly event?: string;
  readonly id?: string;
  readonly data: string;
}

/**
 * Parses a stream of events as a browser does. It takes the body at once: if nothing reads a body, `fetch` drops it without an error as
 * soon as its Response is garbage.
 *
 * @throws Error for an event that the contract does not know
 */
export function parseEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const parsed = body
    .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
    .pipeThrough(new EventSourceParserStream());
  return judged(parsed);
}

async function* judged(parsed: AsyncIterable<ParsedEvent>): AsyncGenerator<StreamEvent> {
  for await (const { event = 'message', id = '', data } of parsed) {
    const value = { event, id, data: JSON.parse(data) as unknown };
    const faults = contract.eventFaults(value);
    if (faults.length > 0) throw new Error(faults.join('\n'));
    yield value;
  }
}

export interface OpenedStream {
  readonly status: number;
  readonly headers: Headers;
  /** The events as they arrive. Leaving the loop leaves the stream. */
  readonly events: AsyncGenerator<StreamEvent>;
  close(): void;
}

/** Thrown when the answer is no stream. */
export class NoStream extends Error {
  constructor(
    readonly status: number,
    readonly body: string,
  ) {
    super(`${status}: ${body}`);
  }
}

/** Opens a stream: a turn's if there is a body to post, else a job's. @throws NoStream */
export async function openStream(
  url: string,
  token: string,
  path: string,
  options: { body?: object; headers?: Record<string, string> } = {},
): Promise<OpenedStream> {
  const leave = new AbortController();
  const response = await fetch(new URL(path, url), {
    method: options.body ? 'POST' : 'GET',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'text/event-stream',
      ...(options.body && { 'content-type': 'application/json' }),
      ...options.headers,
    },
    body: options.body && JSON.stringify(options.body),
    signal: timeLimit(60_000, leave.signal).signal,
  });
  const { status, headers } = response;
  if (status !== 200 || response.body === null) throw new NoStream(status, await response.text());
  judge({ method: options.body ? 'POST' : 'GET', path: new URL(path, url).pathname, status, headers, body: '' });
  return { status, headers, events: parseEvents(response.body), close: () => leave.abort() };
}

/** All events until the stream ends. */
export async function collect(stream: OpenedStream): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const event of stream.events) events.push(event);
  return events;
}

/** The reasoning that a client shows after these events. @throws Error when a piece begins behind the end of the reasoning */
export function reasoningOf(events: readonly StreamEvent[], before = ''): string {
  let reasoning = before;
  for (const { event, data } of events) {
    if (event === 'reset') reasoning = reasoning.slice(0, data.reasoning_offset);
    if (event !== 'reasoning') continue;
    if (data.offset > reasoning.length)
      throw new Error(`Reasoning at ${data.offset}, and it ends at ${reasoning.length}.`);
    reasoning = reasoning.slice(0, data.offset) + data.reasoning;
  }
  return reasoning;
}

/** The addresses of the sources that a client shows after these events, each once. */
export function sourcesOf(events: readonly StreamEvent[], before: readonly string[] = []): string[] {
  let sources = new Set(before);
  for (const { event, data } of events) {
    if (event === 'reset') sources = new Set();
    if (event === 'source') sources.add(data.url);
  }
  return [...sources];
}

/** The text that a client shows after these events. @throws Error when a delta does not begin where the text ends */
export function textOf(events: readonly StreamEvent[], before = ''): string {
  let text = before;
  for (const { event, data } of events) {
    if (event === 'reset') text = text.slice(0, data.offset);
    if (event !== 'delta') continue;
    if (data.offset !== text.length) throw new Error(`A delta at ${data.offset}, but the text ends at ${text.length}.`);
    text += data.text;
  }
  return text;
}
