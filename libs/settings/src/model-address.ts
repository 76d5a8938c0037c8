import { isLoopback } from './loopback.js';
import type { ModelProvider } from './model-provider.js';

/** Servers' manuals give the address with the version, or with the whole path of a call. The SDK adds both itself. */
const ADDED_BY_THE_SDK = /\/v1(?:\/messages)?$/;

/** Text before a colon without a port after it: a scheme of another kind, or a user with a password. */
const NO_HOST = /^[^/]*?:(?!\d+(?:[/?#]|$))/;

/** An address of the Messages API on Amazon Bedrock, whose requests look different. */
const MESSAGES_API_OF_BEDROCK = /^bedrock-mantle\.|\/anthropic(?:\/v1(?:\/messages)?)?$/;

/**
 * Parses `ANTHROPIC_BASE_URL` into the form that the provider's client wants: an origin, and the path of a gateway where there is one,
 * without a slash at its end. Only the path for Vertex AI ends with `/v1`. People write it in many ways, and a wrong address would show
 * only as a `404` of each call.
 *
 * Without a scheme it is `http://` on this machine, where servers have no certificate, and `https://` elsewhere. Faults are added
 * to `faults`; they name the variable and never repeat its value, which may hold a password.
 *
 * @returns undefined when it is not set, or cannot be used
 */
export function readModelAddress(
  raw: string | undefined,
  faults: string[],
  provider: ModelProvider['name'] = 'anthropic',
): string | undefined {
  const text = raw?.trim() ?? '';
  if (text === '') return undefined;
  const url = parsed(text);
  const fault = faultOf(text, url, provider);
  if (fault !== undefined || url === undefined) {
    faults.push(`ANTHROPIC_BASE_URL ${fault}`);
    return undefined;
  }
  const path = withoutSlashes(url.pathname);
  switch (provider) {
    case 'anthropic':
      return url.origin + withoutSlashes(path.replace(ADDED_BY_THE_SDK, ''));
    case 'bedrock':
      return url.origin + path;
    case 'vertex':
      return `${url.origin}${withoutSlashes(path.replace(/\/v1$/, ''))}/v1`;
  }
}

function parsed(text: string): URL | undefined {
  if (text.includes('://')) return URL.canParse(text) ? new URL(text) : undefined;
  if (NO_HOST.test(text.replace(/^\[[\da-f:.]+\]/i, '')) || text.startsWith('/')) return undefined;
  const secure = `https://${text}`;
  if (!URL.canParse(secure)) return undefined;
  return isLoopback(new URL(secure).hostname) ? new URL(`http://${text}`) : new URL(secure);
}

function faultOf(text: string, url: URL | undefined, provider: ModelProvider['name']): string | undefined {
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return 'must be an address that begins with http:// or https://.';
  }
  if (url.username !== '' || url.password !== '') {
    return `holds a user or a password.${provider === 'anthropic' ? ' The key belongs in ANTHROPIC_API_KEY.' : ''}`;
  }
  // An empty query or fragment counts, too, and `URL` shows it only in the text.
  if (/[?#]/.test(text)) return 'has a ? or a #. It ends with the path, as calls are made below it.';
  if (provider === 'bedrock' && MESSAGES_API_OF_BEDROCK.test(url.hostname + withoutSlashes(url.pathname))) {
    return 'is an address of the Messages API. Leave MODEL_PROVIDER unset for it, and set ANTHROPIC_API_KEY to a key of Amazon Bedrock.';
  }
  return undefined;
}

function withoutSlashes(path: string): string {
  let end = path.length;
  while (path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}
