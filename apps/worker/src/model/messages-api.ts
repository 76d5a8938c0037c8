import Anthropic from '@anthropic-ai/sdk';
import type { Settings } from '#settings/settings.js';
import { boundedFetch } from './bounded-fetch.js';

/** The client of the Messages API, as the settings have it. */
export function messagesApi(settings: Settings['model']): Anthropic {
  return new Anthropic({
    apiKey: settings.apiKey,
    baseURL: settings.baseUrl,
    fetch: boundedFetch(globalThis.fetch),
    // Trying again is the job's business: it frees the worker's slot while it waits and counts attempts.
    maxRetries: 0,
    timeout: settings.idleMs,
    logLevel: 'off',
    // It might lead to another machine, or away from https: `fetch` would take the key and the chat there.
    fetchOptions: { redirect: 'manual' },
  });
}
