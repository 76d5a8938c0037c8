/** White space as JavaScript or the model's server defines it: Python also counts U+001C to U+001F and U+0085. */
const BLANK = /^[\s\p{Cc}]*$/u;

/** Whether the model refuses the text of a message or a block as blank. */
export function isBlank(text: string): boolean {
  return BLANK.test(text);
}
