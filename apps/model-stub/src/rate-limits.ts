/** The quantities that the API limits, by the names of their headers. */
const COUNTED = ['requests', 'tokens', 'input_tokens', 'output_tokens'] as const;

type Counted = (typeof COUNTED)[number];

interface Window {
  readonly limit?: number;
  readonly remaining?: number;
  /** Seconds from now, or a time in RFC 3339. */
  readonly reset?: number | string;
}

/** A script's rate limits. Fields that it leaves out are as usual. */
export type RateLimit = 'none' | Partial<Record<Counted, Window>>;

/** The usual state: far from any limit, and complete again after a minute. */
const USUAL: Record<Counted, Required<Window>> = {
  requests: { limit: 4_000, remaining: 3_999, reset: 1 },
  tokens: { limit: 2_400_000, remaining: 2_399_000, reset: 1 },
  input_tokens: { limit: 2_000_000, remaining: 1_999_000, reset: 1 },
  output_tokens: { limit: 400_000, remaining: 400_000, reset: 1 },
};

/** Whether these are valid rate limits of a script. */
export function isRateLimit(value: unknown): boolean {
  if (value === 'none') return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).every(
    ([name, window]) =>
      (COUNTED as readonly string[]).includes(name) &&
      typeof window === 'object' &&
      window !== null &&
      Object.entries(window as object).every(([field, figure]) =>
        field === 'reset'
          ? typeof figure === 'number' || typeof figure === 'string'
          : (field === 'limit' || field === 'remaining') && typeof figure === 'number',
      ),
  );
}

/** The headers with rate limits, for answers of every kind. */
export function rateLimitHeaders(scripted: RateLimit = {}): Record<string, string> {
  if (scripted === 'none') return {};
  const headers: Record<string, string> = {};
  for (const counted of COUNTED) {
    const { limit, remaining, reset } = { ...USUAL[counted], ...scripted[counted] };
    const name = `anthropic-ratelimit-${counted.replace('_', '-')}`;
    headers[`${name}-limit`] = String(limit);
    headers[`${name}-remaining`] = String(remaining);
    headers[`${name}-reset`] = typeof reset === 'string' ? reset : inSeconds(reset);
  }
  return headers;
}

/** RFC 3339 in whole seconds, as the API writes it. */
function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toISOString().replace(/\.\d+Z$/, 'Z');
}
