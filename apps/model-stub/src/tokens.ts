/** A common estimate. */
const CHARACTERS_A_TOKEN = 4;

/** The tokens of a text, at least one. */
export function tokensOf(text: string): number {
  return tokensOfLength(text.length);
}

/** The tokens of a text of this length in characters, at least one. */
export function tokensOfLength(characters: number): number {
  return Math.max(1, Math.ceil(characters / CHARACTERS_A_TOKEN));
}

/** The beginning of a text, in this number of tokens. */
export function withinTokens(text: string, tokens: number): string {
  return text.slice(0, Math.max(0, tokens) * CHARACTERS_A_TOKEN);
}

/** The tokens of an answer: those of its text and of the rest, at least one if it has any block. */
export function outputTokensOf(text: string, besideText: number, blocks: number): number {
  if (text === '' && (besideText > 0 || blocks === 0)) return besideText;
  return tokensOf(text) + besideText;
}
