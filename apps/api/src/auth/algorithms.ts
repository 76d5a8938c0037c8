import type { JsonWebKey } from 'node:crypto';

/** The algorithms that providers sign with (RFC 7518, section 3.1; RFC 8037 and RFC 9864, which give one algorithm two names). */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

export type Algorithm = (typeof ALGORITHMS)[number];

const RSA: readonly Algorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const ED25519: readonly Algorithm[] = ['EdDSA', 'Ed25519'];
const CURVES: Readonly<Record<string, readonly Algorithm[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
};

/**
 * The one algorithm that a key serves, with all its names, by the key's type and `alg`. The type may fit several algorithms, but a key that
 * is used with two is only as strong as the weaker one (RFC 8725, section 3.1). An RSA key without `alg` is for RS256.
 * @throws Error in words for an operator, when the key serves none
 */
export function algorithmsOf({ kty, crv, alg }: JsonWebKey): readonly Algorithm[] {
  const fitting = kty === 'RSA' ? RSA : kty === 'EC' ? CURVES[String(crv)] : crv === 'Ed25519' ? ED25519 : undefined;
  if (fitting === undefined)
    throw new Error(`its type (${named(kty)}${crv === undefined ? '' : ` ${named(crv)}`}) is not supported`);
  if (alg !== undefined && !fitting.some((name) => name === alg)) throw new Error(`its alg is ${named(alg)}`);
  if (kty !== 'RSA') return fitting;
  return alg === undefined ? ['RS256'] : [alg as Algorithm];
}

/** A value of the key set as JSON, shortened. */
const named = (value: unknown): string => JSON.stringify(value)?.slice(0, 40) ?? 'none';
