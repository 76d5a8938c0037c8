import { createHash, createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Keys of AWS, as a server of AWS knows them. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

interface Signed {
  readonly method: string;
  /** The target of the request line. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * Verifies a signature of AWS, version 4, by its specification: written for the tests, so that it shares no mistake with the library that
 * signs. @returns what is wrong, in words; undefined: nothing
 */
export function signatureFault(
  { method, url, headers, body }: Signed,
  keys: AwsKeys,
  region: string,
  service: string,
): string | undefined {
  const form =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$/;
  const [, id, day = '', scopeRegion, scopeService, signed = '', signature] =
    form.exec(headers.authorization ?? '') ?? [];
  if (id === undefined) return 'no signature';
  if (id !== keys.accessKeyId) return `the key ${id}`;
  if (scopeRegion !== region || scopeService !== service) return `the scope ${scopeRegion}/${scopeService}`;
  if (headers['x-amz-security-token'] !== keys.sessionToken) return 'another session token';
  const at = String(headers['x-amz-date']);
  if (!/^\d{8}T\d{6}Z$/.test(at) || !at.startsWith(day)) return `the date ${at}`;

  const names = signed.split(';');
  const mustBeSigned = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))];
  const unsigned = mustBeSigned.filter((name) => !names.includes(name));
  if (unsigned.length > 0) return `not signed: ${unsigned.join(', ')}`;

  const { pathname, searchParams } = new URL(url, 'http://host');
  searchParams.sort();
  const request = [
    method,
    // The path as it is sent, encoded once more, except for S3.
    pathname.split('/').map(encoded).join('/'),
    [...searchParams].map((pair) => pair.map(encoded).join('=')).join('&'),
    ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    signed,
    sha256(body),
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(
    (made, part) => hmac(made, part),
    `AWS4${keys.secretAccessKey}`,
  );
  const wanted = hmac(key, ['AWS4-HMAC-SHA256', at, scope, sha256(request)].join('\n')).toString('hex');
  return wanted === signature ? undefined : `the signature of\n${request}`;
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
