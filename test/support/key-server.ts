import { constants, createHmac, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newKeyPair } from '../../apps/api/src/auth/new-key-pair.js';

type Alg = 'RS256' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA';

/** A signing key of an identity provider. */
export interface SigningKey {
  readonly alg: Alg;
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Its public half, as in a JWK set. */
  readonly jwk: Record<string, unknown>;
}

export function newKey(kid: string, alg: Alg, bits = 2048): SigningKey {
  const { privateKey, publicKey } = pairFor(alg, bits);
  return { alg, kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } };
}

function pairFor(alg: Alg, bits: number): ReturnType<typeof newKeyPair> {
  if (alg === 'EdDSA') return newKeyPair('ed25519');
  if (alg === 'ES256') return newKeyPair('ec', { namedCurve: 'P-256' });
  if (alg === 'ES384') return newKeyPair('ec', { namedCurve: 'P-384' });
  return newKeyPair('rsa', { modulusLength: bits });
}

const encoded = (part: unknown): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/** A token with any header and payload. `signature` makes the signature from its text. */
export function tokenOf(header: object, payload: unknown, signature: (text: string) => Buffer | string): string {
  const text = `${encoded(header)}.${encoded(payload)}`;
  return `${text}.${Buffer.from(signature(text)).toString('base64url')}`;
}

/** Signs as the key's algorithm wants it (RFC 7518, sections 3.3 to 3.5; RFC 8037, section 3.1). */
export const signedBy =
  ({ alg, privateKey: key }: Pick<SigningKey, 'alg' | 'privateKey'>) =>
  (text: string): Buffer => {
    const bytes = Buffer.from(text);
    if (alg === 'EdDSA') return sign(null, bytes, key);
    if (alg === 'RS256') return sign('sha256', bytes, { key, padding: constants.RSA_PKCS1_PADDING });
    if (alg === 'PS256')
      return sign('sha256', bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    return sign(alg === 'ES384' ? 'sha384' : 'sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
  };

export const hmac =
  (secret: string | Buffer) =>
  (text: string): Buffer =>
    createHmac('sha256', secret).update(text).digest();

/** The address where an identity provider publishes its keys. It may be away. */
export class KeyServer {
  /** The paths of the requests. */
  readonly asked: string[] = [];
  keys: Record<string, unknown>[] = [];
  private server: Server | undefined;
  private port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}/keys`;
  }

  async start(): Promise<void> {
    this.server = createServer((request, response) => {
      this.asked.push(request.url ?? '');
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: this.keys }));
    });
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Nothing listens at the address until the server is started again. */
  async stop(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
}
