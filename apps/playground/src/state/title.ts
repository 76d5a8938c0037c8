/** The contract's bound on a title, in characters. */
export const LONGEST_TITLE = 200;

const ENOUGH = 48;

/** What a chat is called after what was said first in it: the beginning of its first line, to the end of a word. */
export function titleFrom(message: string): string {
  const line = message.trim().split('\n', 1).join('').trimEnd();
  const characters = [...line];
  if (characters.length <= ENOUGH) return line;
  const start = characters.slice(0, ENOUGH).join('');
  const words = start.slice(0, Math.max(0, start.search(/\s\S*$/))).trimEnd();
  return `${words.length > ENOUGH / 2 ? words : start}…`;
}
