/** As a rule of thumb. */
const CHARACTERS_A_TOKEN = 4;

/** The tokens of a text, one at least. */
export function tokensOf(text: string): number {
  return tokensOfLength(text.length);
}

/** The tokens of so many characters, one at least. */
export function tokensOfLength(characters: number): number {
  return Math.max(1, Math.ceil(characters / CHARACTERS_A_TOKEN));
}

/** As much of a text as so many tokens hold. */
export function withinTokens(text: string, tokens: number): string {
  return text.slice(0, Math.max(0, tokens) * CHARACTERS_A_TOKEN);
}

/** The tokens of an answer of so many blocks: its text, and what it costs beside that. One at least, if it has any block. */
export function outputTokensOf(text: string, besideText: number, blocks: number): number {
  if (text === '' && (besideText > 0 || blocks === 0)) return besideText;
  return tokensOf(text) + besideText;
}
