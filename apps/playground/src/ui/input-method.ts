/** The key code of a key that an input method has taken. */
const TAKEN = 229;

/** So soon after an input method has put its text in, in milliseconds, a key is the one that told it to. */
const SAME_KEY_MS = 50;

let endedAt = -Infinity;
addEventListener('compositionend', ({ timeStamp }) => (endedAt = timeStamp), true);

/**
 * Whether a key was for an input method, as Enter is when it picks a word in Japanese: then it is not for the page. Chromium and Firefox
 * say that a word is being composed; Safari ends the composition before it tells of the key, and gives it a code of its own.
 */
export function isForInputMethod({ isComposing, keyCode, timeStamp }: KeyboardEvent): boolean {
  return isComposing || keyCode === TAKEN || timeStamp - endedAt < SAME_KEY_MS;
}
