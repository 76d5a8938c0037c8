import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk';
import type { Stream } from '@anthropic-ai/sdk/core/streaming';
import { withoutVariables } from '#settings/hidden-variables.js';
import { MODEL_ADDRESS, type Settings } from '#settings/settings.js';
import { type BoundedInit, boundedFetch, type Largest } from './bounded-fetch.js';
import { orStopped } from './or-stopped.js';
import { proxiedFetch } from './proxied-fetch.js';

/** The part of the SDK's client that the worker uses: the Messages API's client, or another provider's. */
export type ModelClient = Pick<Anthropic, 'post'>;

/**
 * The options that all clients of the SDK have in common.
 *
 * @param largest most bytes of an answer that are read; left out: enough for the longest reply
 */
export function clientOptions(settings: Settings['model'], largest?: Largest) {
  return {
    fetch: boundedFetch(settings.proxy === undefined ? globalThis.fetch : proxiedFetch(settings.proxy), largest),
    // Retries are attempts of the job, which are counted and hold no slot during the wait.
    maxRetries: 0,
    timeout: settings.idleMs,
    logLevel: 'off',
    // The attempt makes its own span for the call, and the provider must not learn our trace ids.
    openTelemetry: { traces: false, propagation: false },
    // A redirect could lead to another machine, or away from https, and `fetch` would send the key and the chat there.
    fetchOptions: { redirect: 'manual' },
  } as const satisfies ClientOptions;
}

/**
 * Makes the SDK's client of the Messages API. Only our settings configure it.
 *
 * The SDK reads a dozen environment variables when a client is made: headers for all requests, another credential, another address, a
 * profile in the user's home, its log, its traces. Most of them have an option, which is set here. `ANTHROPIC_CUSTOM_HEADERS` has none,
 * though it can replace even the key's header, and a later version may read other variables. So all variables are hidden while the client
 * is made. A list of allowed headers would not help: it would pass other values of the same headers, and an invalid header would still fail
 * each call.
 *
 * @param largest most bytes of an answer that are read; left out: enough for the longest reply
 */
export function messagesApi(settings: Settings['model'], largest?: Largest): Anthropic {
  // If the key is left out, the SDK looks for one in the user's files.
  const apiKey = settings.apiKey ?? 'none';
  return withoutVariables(
    'ANTHROPIC_',
    () =>
      new Anthropic({
        ...clientOptions(settings, largest),
        apiKey,
        webhookKey: null,
        baseURL: settings.baseUrl ?? MODEL_ADDRESS,
        // The SDK also sends the key as a bearer token unless the header is null.
        ...(settings.authHeader === 'x-api-key' && { defaultHeaders: { 'x-api-key': apiKey, authorization: null } }),
      }),
  );
}

/** A reply that has begun. */
export interface BegunReply {
  readonly stream: Stream<Anthropic.RawMessageStreamEvent>;
  /** Status and headers. The stream reads the body. */
  readonly response: Response;
}

/** Options of a call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /**
   * Called whenever any bytes of the reply arrive. The SDK drops pings, and only pings come while a model thinks without showing it. The
   * client's `fetch` must be a bounded one.
   */
  readonly onBytes?: () => void;
}

/**
 * Sends a request for a streamed reply and waits for the headers.
 *
 * `client.messages.create` does the same, and prints two lines with `console.warn` for each call of a model that the SDK considers
 * deprecated. These lines would break a log of JSON lines, and the SDK's list may be outdated.
 *
 * @throws what the SDK throws; `classify` decides what it means
 */
export async function createStream(
  client: ModelClient,
  params: Anthropic.MessageCreateParamsStreaming,
  { signal, onBytes }: CallOptions = {},
): Promise<BegunReply> {
  const call = client.post<Stream<Anthropic.RawMessageStreamEvent>>('/v1/messages', {
    ...(signal !== undefined && { signal }),
    ...(onBytes !== undefined && { fetchOptions: { onBytes } satisfies BoundedInit as object }),
    body: params,
    stream: true,
  });
  // The SDK does not look at the signal while a provider's client waits for credentials.
  const { data: stream, response } = await orStopped(call.withResponse(), signal);
  return { stream, response };
}
