/** The contract's limit for a title, in characters. */
export const LONGEST_TITLE = 200;

const ENOUGH = 48;

/** A title for a chat, from its first message: the beginning of its first line, up to the end of a word. */
export function titleFrom(message: string): string {
  const line = message.trim().split('\n', 1).join('').trimEnd();
  const characters = [...line];
  if (characters.length <= ENOUGH) return line;
  const start = characters.slice(0, ENOUGH).join('');
  const words = start.slice(0, Math.max(0, start.search(/\s\S*$/))).trimEnd();
  return `${words.length > ENOUGH / 2 ? words : start}…`;
}
