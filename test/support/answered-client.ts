import { jest } from '@jest/globals';
import { type JobEvent, Rejoinder, type RejoinderOptions } from '@rejoinder/client';

/** A request as the client sent it. */
export interface Asked {
  readonly url: string;
  readonly init: RequestInit;
  readonly at: number;
}

export const event = (name: string, id: string, data: object): string =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`;
export const job = (status: string): object => ({ id: 'j', status });
export const call = (status: string): object => ({ id: 'c', name: 'pick_date', input: {}, status, result: null });
export const end = event('job', 'end', job('succeeded'));
export const stream = (body: ConstructorParameters<typeof Response>[0]): Response =>
  new Response(body, { headers: { 'content-type': 'text/event-stream' } });
export const json = (body: unknown, headers: Record<string, string> = {}, status = 200): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
export const no = (status: number, code: string, headers = {}, more = {}): Response =>
  json({ code, message: 'no', request_id: 'r', ...more }, headers, status);
export const portal = (): Response => new Response('<h1>Log in</h1>', { headers: { 'content-type': 'text/html' } });

/** A client whose requests this function answers. */
export function answered(
  answer: (n: number, asked: Asked) => Response | Promise<Response>,
  options: Partial<RejoinderOptions> = {},
): { client: Rejoinder; asked: Asked[] } {
  const asked: Asked[] = [];
  const client = new Rejoinder({
    baseUrl: 'http://service.test',
    token: 'x',
    fetch: async (url, init = {}) => {
      asked.push({ url: url as string, init, at: Date.now() });
      return answer(asked.length - 1, asked.at(-1) as Asked);
    },
    // The console of a test has no reader.
    onRetry: () => undefined,
    ...options,
  });
  return { client, asked };
}

/** All events until the end. */
export async function all(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const list: JobEvent[] = [];
  for await (const one of events) list.push(one);
  return list;
}

/** The result of a promise within `ms` milliseconds, on a clock that the test moves. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | Error | 'pending'> {
  let outcome: T | Error | 'pending' = 'pending';
  promise.then(
    (value) => (outcome = value),
    (error: Error) => (outcome = error),
  );
  const step = Math.max(50, ms / 500);
  for (let passed = 0; passed < ms && outcome === 'pending'; passed += step) await jest.advanceTimersByTimeAsync(step);
  return outcome;
}

export const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
