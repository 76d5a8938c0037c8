import { Client } from 'undici';

/** A request, and the status that is right. */
export interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly expect: number;
}

/** How one round of a load went. */
export interface Round {
  readonly seconds: number;
  /** How long each exchange took that was answered as it should be, in milliseconds. */
  readonly times: readonly number[];
  readonly errors: number;
  /** What was wrong first. */
  readonly fault?: string;
}

const TIMEOUT_MS = 30_000;

/**
 * Sends requests on so many connections, on each the next one as soon as the last is answered, for so many milliseconds, or until `next`
 * has no more. What is under way when the time is up is waited for, and counts.
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

/** The value that so great a share of the others does not exceed. The list need not be sorted. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
