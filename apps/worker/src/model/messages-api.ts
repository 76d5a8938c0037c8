import Anthropic from '@anthropic-ai/sdk';
import type { Stream } from '@anthropic-ai/sdk/core/streaming';
import { withoutVariables } from '#settings/hidden-variables.js';
import { MODEL_ADDRESS, type Settings } from '#settings/settings.js';
import { boundedFetch, type Largest } from './bounded-fetch.js';
import { proxiedFetch } from './proxied-fetch.js';

/**
 * Makes the SDK's client of the Messages API. Only our settings configure it.
 *
 * The SDK reads a dozen environment variables when a client is made: headers for all requests, another credential, another address, a
 * profile in the user's home, its log, its traces. Most of them have an option, which is set here. `ANTHROPIC_CUSTOM_HEADERS` has none,
 * though it can replace even the key's header, and a later version may read other variables. So all of them are hidden while the client
 * is made. Rejected: a list of allowed headers. Other values of the same headers would pass it, and a header that cannot be sent would
 * still fail each call.
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
        apiKey,
        webhookKey: null,
        baseURL: settings.baseUrl ?? MODEL_ADDRESS,
        // By default the SDK sends the key as a bearer token, too. Null leaves the header out.
        ...(settings.authHeader === 'x-api-key' && { defaultHeaders: { 'x-api-key': apiKey, authorization: null } }),
        fetch: boundedFetch(settings.proxy === undefined ? globalThis.fetch : proxiedFetch(settings.proxy), largest),
        // The job retries: that frees the worker's slot during the wait, and counts attempts.
        maxRetries: 0,
        timeout: settings.idleMs,
        logLevel: 'off',
        // The attempt has its own span for the call, and the provider must not learn the ids of our traces.
        openTelemetry: { traces: false, propagation: false },
        // A redirect could lead to another machine, or away from https, and `fetch` would send the key and the chat there.
        fetchOptions: { redirect: 'manual' },
      }),
  );
}

/** A reply that has begun. */
export interface BegunReply {
  readonly stream: Stream<Anthropic.RawMessageStreamEvent>;
  /** Status and headers. The stream reads the body. */
  readonly response: Response;
}

/**
 * Sends a request for a streamed reply and waits for the headers.
 *
 * `client.messages.create` does the same, and prints two lines with `console.warn` for each call of a model that the SDK takes for
 * deprecated. These lines would stand in a log of JSON, and the SDK's list is as old as the SDK.
 *
 * @throws what the SDK throws; `classify` decides what it means
 */
export async function createStream(
  client: Anthropic,
  params: Anthropic.MessageCreateParamsStreaming,
  options: { readonly signal?: AbortSignal } = {},
): Promise<BegunReply> {
  const call = client.post<Stream<Anthropic.RawMessageStreamEvent>>('/v1/messages', {
    ...options,
    body: params,
    stream: true,
  });
  const { data: stream, response } = await call.withResponse();
  return { stream, response };
}
