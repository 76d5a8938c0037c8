import { timeLimit } from '#process/time-limit.js';
import type { Client, RequestOptions } from './client.js';

/** An answer byte for byte, except for its time. */
export interface ExactAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An answer with all its headers, under one request id, so that two answers can be compared. */
export async function exactAnswer(
  { url, token }: Client,
  method: string,
  path: string,
  { body, raw, headers }: RequestOptions = {},
): Promise<ExactAnswer> {
  const answer = await fetch(new URL(path, url), {
    method,
    headers: {
      'x-request-id': 'same',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    body: (raw as string | undefined) ?? (body === undefined ? undefined : JSON.stringify(body)),
    signal: timeLimit(20_000).signal,
  });
  const text = await answer.text();
  const kept = [...answer.headers].filter(([name]) => name !== 'date');
  return { status: answer.status, headers: Object.fromEntries(kept), body: text };
}
