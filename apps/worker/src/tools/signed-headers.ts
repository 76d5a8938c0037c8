import { createHmac } from 'node:crypto';

/**
 * The headers with which a tool's server can tell that a request comes from this service, by Standard Webhooks: a signature (`v1`) with each
 * key over id, time and body. The server refuses an old time, so each try is signed anew.
 *
 * @param keys the bytes of the secrets
 */
export function signedHeaders(keys: readonly Buffer[], id: string, now: Date, body: Buffer): Record<string, string> {
  const timestamp = Math.floor(now.getTime() / 1_000);
  const signatures = keys.map((key) =>
    createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64'),
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatures.map((signature) => `v1,${signature}`).join(' '),
  };
}
