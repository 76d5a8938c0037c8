import { AnthropicVertex } from '@anthropic-ai/vertex-sdk';
import { type AuthClient, gaxios, gcpMetadata, GoogleAuth } from 'google-auth-library';
import { Agent } from 'node:http';
import type { ProviderOptions } from './provider-options.js';

/*
 * This file becomes a bundle of its own, which only a worker with MODEL_PROVIDER=vertex loads. So it must not share our modules with the
 * program; types are no modules.
 */

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

/** Makes the SDK's client of Google's Vertex AI, with Application Default Credentials. */
export function vertexClient(
  { options, baseUrl, credentialsFetch, noCredentials }: ProviderOptions,
  region: string,
  project: string,
): AnthropicVertex {
  // With an agent of its own, Google's library leaves the environment's proxies to us: it would ask the metadata server through them, too.
  const transporterOptions = { fetchImplementation: credentialsFetch, agent: new Agent() };
  // The metadata server is asked through this instance.
  Object.assign(gaxios.instance.defaults, transporterOptions);

  let auth: GoogleAuth | undefined;
  const headers = async (): Promise<Headers> => {
    auth ??= new GoogleAuth({ scopes: SCOPE, projectId: project, clientOptions: { transporterOptions } });
    try {
      const client = await auth.getClient();
      return await client.getRequestHeaders();
    } catch (error) {
      // The library remembers for ever that it found no metadata server, which may only have been slow.
      auth = undefined;
      gcpMetadata.resetIsAvailableCache();
      throw noCredentials(error);
    }
  };
  // Given an `AuthClient`, the SDK's client does not look for credentials when it is made, where nobody would see a fault.
  const authClient: Pick<AuthClient, 'getRequestHeaders' | 'projectId'> = {
    projectId: project,
    getRequestHeaders: headers,
  };
  return new AnthropicVertex({
    ...options,
    baseURL: baseUrl,
    region,
    projectId: project,
    authClient: authClient as AuthClient,
  });
}
