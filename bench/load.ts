import { Client } from 'undici';

/** A request, and the expected status. */
export interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly expect: number;
}

/** The result of one round of load. */
export interface Round {
  readonly seconds: number;
  /** The times of all exchanges with the expected status, in milliseconds. */
  readonly times: readonly number[];
  readonly errors: number;
  /** The first fault. */
  readonly fault?: string;
}

const TIMEOUT_MS = 30_000;

/**
 * Sends requests on `connections` connections. Each sends the next one as soon as the last is answered, for `ms` milliseconds, or until
 * `next` has no more. Requests under way at the end are waited for, and count.
 */
export async function load(
  url: string,
  connections: number,
  ms: number,
  next: (connection: number) => Exchange | undefined,
): Promise<Round> {
  const times: number[] = [];
  let errors = 0;
  let fault: string | undefined;
  const begun = performance.now();
  const use = async (connection: number): Promise<void> => {
    const client = new Client(url, { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    try {
      while (performance.now() - begun < ms) {
        const exchange = next(connection);
        if (exchange === undefined) return;
        const { expect, ...request } = exchange;
        const from = performance.now();
        try {
          const { statusCode, body } = await client.request(request);
          const text = await body.text();
          if (statusCode !== expect) throw new Error(`${statusCode} instead of ${expect}: ${text.slice(0, 500)}`);
          times.push(performance.now() - from);
        } catch (error) {
          errors += 1;
          fault ??= `${request.method} ${request.path}: ${(error as Error).message}`;
        }
      }
    } finally {
      await client.close();
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, connection) => use(connection)));
  return { seconds: (performance.now() - begun) / 1_000, times, errors, ...(fault !== undefined && { fault }) };
}
