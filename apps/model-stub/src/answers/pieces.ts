/** A text as the words it is streamed in; joined they are the text. */
export function inPieces(text: string): string[] {
  return text.match(/\S+\s*|\s+/gu) ?? [];
}
