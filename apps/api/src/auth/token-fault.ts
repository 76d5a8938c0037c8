/**
 * Why a token is refused, in words for the log. They never repeat anything the token holds: anybody can send one, and it may name
 * a person. The answer has none of it, for it would help a forger.
 */
export class TokenFault extends Error {
  override readonly name = 'TokenFault';
}
