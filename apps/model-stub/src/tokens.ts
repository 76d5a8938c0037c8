/** As a rule of thumb. */
const CHARACTERS_A_TOKEN = 4;

/** The tokens of a text, one at least. */
export function tokensOf(text: string): number {
  return Math.max(1, Math.ceil(text.length / CHARACTERS_A_TOKEN));
}

/** As much of a text as so many tokens hold. */
export function withinTokens(text: string, tokens: number): string {
  return text.slice(0, Math.max(0, tokens) * CHARACTERS_A_TOKEN);
}
