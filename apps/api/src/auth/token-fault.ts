/**
 * Why a token is refused, in words for the log. The words never repeat the token's content: it is not verified, and may name a person. The
 * answer does not give the reason, which would help a forger.
 */
export class TokenFault extends Error {
  override readonly name = 'TokenFault';
}
