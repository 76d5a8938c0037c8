import type Anthropic from '@anthropic-ai/sdk';
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages';
import { withoutVariables } from '#settings/hidden-variables.js';
import { publicAddress } from '#settings/model-provider.js';
import type { Settings } from '#settings/settings.js';
import { credentialsFetch, noCredentials } from './credentials.js';
import { clientOptions, messagesApi, type ModelClient } from './messages-api.js';
import { operatorMust } from './model-fault.js';
import { LARGEST_MODELS } from './models.js';
import type { ProviderOptions } from './provider-options.js';

/**
 * Makes the client of the provider that the settings name. A client for Bedrock or Vertex AI is loaded only if it is named: it brings the
 * libraries of AWS or Google.
 */
export async function modelClient(settings: Settings['model']): Promise<ModelClient> {
  const { provider } = settings;
  if (provider === undefined || provider.name === 'anthropic') return messagesApi(settings);
  const common: ProviderOptions = {
    options: clientOptions(settings),
    baseUrl: settings.baseUrl ?? (publicAddress(provider) as string),
    credentialsFetch: credentialsFetch(settings.credentialsProxy),
    noCredentials,
  };
  if (provider.name === 'bedrock') {
    const { bedrockClient } = await import('./bedrock-sdk.js');
    const { region, bearerToken } = provider;
    return suited(withoutVariables('ANTHROPIC_', () => bedrockClient(common, region, bearerToken)));
  }
  const { vertexClient } = await import('./vertex-sdk.js');
  return suited(withoutVariables('ANTHROPIC_', () => vertexClient(common, provider.region, provider.project)));
}

/** The client that lists the provider's models; undefined: the provider has no list that this service can read. */
export function modelList(settings: Settings['model']): Anthropic | undefined {
  const name = settings.provider?.name ?? 'anthropic';
  return name === 'anthropic' ? messagesApi(settings, LARGEST_MODELS) : undefined;
}

/** The model's name is a part of the address, where `..` and the like mean something else. */
const NAME = /^[A-Za-z0-9][\w.:/@-]*$/;

/** A provider's client, which gets only names of models that can be a part of its address. */
function suited(client: ModelClient): ModelClient {
  const post = ((path, options) => {
    const { body } = options as { body: MessageCreateParamsStreaming };
    if (!NAME.test(body.model)) {
      throw operatorMust('model_misconfigured', 'The model’s name is none of its provider’s.', 'model');
    }
    return client.post(path, options);
  }) as Anthropic['post'];
  return { post };
}
