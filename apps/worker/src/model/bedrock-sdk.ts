import { AnthropicBedrock } from '@anthropic-ai/bedrock-sdk';
import { createCredentialChain, fromEnv, fromNodeProviderChain } from '@aws-sdk/credential-providers';
import type { ProviderOptions } from './provider-options.js';

/*
 * This file becomes a bundle of its own, which only a worker with MODEL_PROVIDER=bedrock loads. So it must not share our modules with the
 * program; types are no modules.
 */

/**
 * The version that all models on Bedrock take. The SDK would send its own, which models before 4.7 refuse; what it changed since does not
 * concern our requests.
 */
const VERSION = 'bedrock-2023-05-31';

/** Makes the SDK's client of Amazon Bedrock. An API key signs the requests if there is one, and otherwise credentials of AWS. */
export function bedrockClient(
  { options, baseUrl, credentialsFetch, noCredentials }: ProviderOptions,
  region: string,
  bearerToken: string | undefined,
): AnthropicBedrock {
  const credentials = awsCredentials(region, credentialsFetch);
  return new AnthropicBedrock({
    ...options,
    baseURL: baseUrl,
    awsRegion: region,
    // Null, since the client looks for keys in the environment if this is left out.
    apiKey: bearerToken ?? null,
    defaultHeaders: { 'anthropic-version': VERSION },
    providerChainResolver: async () => async () => {
      try {
        return await credentials();
      } catch (error) {
        throw noCredentials(error);
      }
    },
  });
}

type Credentials = ReturnType<typeof createCredentialChain>;

/**
 * The chain that the SDK's client would make for each call. It is made once here, so that temporary credentials are kept until shortly
 * before they end, and calls that begin at once ask once.
 */
function awsCredentials(region: string, fetch: typeof globalThis.fetch): Credentials {
  const nothing = (): void => undefined;
  // Without it, warnings about the configuration go to the console.
  const logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
  const clientConfig = { region, logger, requestHandler: new FetchHandler(fetch) };
  // Keys of the environment come first even beside a profile, as for the SDK's client and the command line of AWS.
  return createCredentialChain(fromEnv({ logger }), fromNodeProviderChain({ logger, clientConfig }));
}

/** A request as AWS's library makes it. */
interface AwsRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Makes AWS's library ask its servers with a `fetch` of ours. */
class FetchHandler {
  constructor(private readonly fetch: typeof globalThis.fetch) {}

  async handle(request: AwsRequest): Promise<{ response: object }> {
    const { method, protocol, hostname, port, path, query = {}, headers, body } = request;
    const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`);
    for (const [name, value] of Object.entries(query)) {
      for (const each of [value ?? ''].flat()) url.searchParams.append(name, each);
    }
    const { host: _, ...own } = headers;
    const answer = await this.fetch(url.href, { method, headers: own, ...(body !== undefined && { body }) });
    return {
      response: {
        statusCode: answer.status,
        reason: answer.statusText,
        headers: Object.fromEntries(answer.headers),
        body: new Uint8Array(await answer.arrayBuffer()),
      },
    };
  }

  updateHttpClientConfig(): void {
    // There is nothing to configure.
  }

  httpHandlerConfigs(): object {
    return {};
  }
}
