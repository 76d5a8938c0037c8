import type { clientOptions } from './messages-api.js';

/** Parts from which the clients for Amazon Bedrock and Vertex AI are made. Their bundles share no modules with the worker, so they get it. */
export interface ProviderOptions {
  readonly options: ReturnType<typeof clientOptions>;
  readonly baseUrl: string;
  /** The `fetch` for servers that hand out credentials. */
  readonly credentialsFetch: typeof globalThis.fetch;
  /** Makes the error for a call without credentials. */
  readonly noCredentials: (cause: unknown) => Error;
}
