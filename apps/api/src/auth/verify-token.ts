import type { KeyObject } from 'node:crypto';
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { TokenFault } from './token-fault.js';

/** The options that passport-jwt passes to its verifier. They are made for jsonwebtoken. */
export interface Verification {
  readonly algorithms: string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly clockTolerance: number;
}

/** Claims that the log may name. */
const CLAIMS = new Set(['sub', 'exp', 'nbf', 'iat', 'iss', 'aud']);

/**
 * Verifies a token's signature, and `exp`, `nbf`, `iss` and `aud`, in place of the verifier of passport-jwt. That verifier is jsonwebtoken,
 * which lacks EdDSA. Its errors repeat the token's content, or word one fault in several ways.
 */
export function verifyToken(
  token: string,
  key: KeyObject,
  { algorithms, issuer, audience, clockTolerance }: Verification,
  done: (error: unknown, payload?: JWTPayload) => void,
): void {
  const expected = { ...(issuer !== undefined && { issuer }), ...(audience !== undefined && { audience }) };
  jwtVerify(token, key, { algorithms, clockTolerance, requiredClaims: ['sub', 'exp'], ...expected })
    .catch((error: unknown) => Promise.reject(new TokenFault(wordsFor(error))))
    .then(({ payload }) => done(null, payload))
    // This also catches errors thrown within `done`: a token may fail only its own request.
    .catch(done);
}

function wordsFor(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature does not fit the key';
  if (error instanceof errors.JWTClaimValidationFailed && CLAIMS.has(error.claim)) {
    if (error.reason === 'missing') return `it has no ${error.claim}`;
    if (error.reason === 'invalid') return `its ${error.claim} is not a number`;
    if (error.claim === 'nbf') return 'it does not hold yet (nbf)';
    return error.claim === 'aud' ? 'its aud is not JWT_AUDIENCE' : 'its iss is not JWT_ISSUER';
  }
  return 'it cannot be read as a signed JWT';
}
