import Anthropic from '@anthropic-ai/sdk';
import type { Stream } from '@anthropic-ai/sdk/core/streaming';
import { withoutVariables } from '#settings/hidden-variables.js';
import { MODEL_ADDRESS, type Settings } from '#settings/settings.js';
import { boundedFetch, type Largest } from './bounded-fetch.js';
import { proxiedFetch } from './proxied-fetch.js';

/**
 * The SDK's client of the Messages API, as the settings want it and no otherwise.
 *
 * The SDK reads a dozen variables of the environment as a client is made: headers for all requests, another credential, another
 * address, a profile in the user's home, its log, its traces. Most have an option, which is set here. `ANTHROPIC_CUSTOM_HEADERS` has
 * none, though it can replace even the key's header, and a later version may read other variables. So all of them are hidden
 * while the client is made. A list of headers that may pass was not taken: other values of the same headers would pass it, and a
 * header that cannot be sent would still fail each call.
 *
 * @param largest how many bytes are read of an answer; left out: as many as the longest reply has
 */
export function messagesApi(settings: Settings['model'], largest?: Largest): Anthropic {
  // Without a key the SDK would look for one in the user's files.
  const apiKey = settings.apiKey ?? 'none';
  return withoutVariables(
    'ANTHROPIC_',
    () =>
      new Anthropic({
        apiKey,
        webhookKey: null,
        baseURL: settings.baseUrl ?? MODEL_ADDRESS,
        // The SDK sends the key as a bearer token unless it is told otherwise; null leaves a header out.
        ...(settings.authHeader === 'x-api-key' && { defaultHeaders: { 'x-api-key': apiKey, authorization: null } }),
        fetch: boundedFetch(settings.proxy === undefined ? globalThis.fetch : proxiedFetch(settings.proxy), largest),
        // Trying again is the job's business: it frees the worker's slot while it waits and counts attempts.
        maxRetries: 0,
        timeout: settings.idleMs,
        logLevel: 'off',
        // The attempt has a span of its own for the call, and the ids of our traces are not the provider's to know.
        openTelemetry: { traces: false, propagation: false },
        // It might lead to another machine, or away from https: `fetch` would take the key and the chat there.
        fetchOptions: { redirect: 'manual' },
      }),
  );
}

/** A reply that has begun. */
export interface BegunReply {
  readonly stream: Stream<Anthropic.RawMessageStreamEvent>;
  /** Its status and headers. The body is the stream's to read. */
  readonly response: Response;
}

/**
 * Asks for a streamed reply, and waits for its headers.
 *
 * It is what `client.messages.create` does, which beside that prints two lines by `console.warn` with each call of a model that the
 * SDK knows to be deprecated: amid a log of JSON, and from a list that is as old as the SDK.
 *
 * @throws what the SDK throws; `classify` sorts it
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
