/** Splits a text into words for streaming; joined, the words are the text. */
export function inPieces(text: string): string[] {
  return text.match(/\S+\s*|\s+/gu) ?? [];
}
