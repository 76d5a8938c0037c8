/** The key code of a key that an input method handles. */
const TAKEN = 229;

/** In milliseconds. A key this soon after the end of a composition is the one that ended it. */
const SAME_KEY_MS = 50;

let endedAt = -Infinity;
addEventListener('compositionend', ({ timeStamp }) => (endedAt = timeStamp), true);

/**
 * An input method handles this key, as Enter when it picks a word in Japanese; the page must ignore it. Chromium and Firefox report that a
 * word is being composed. Safari ends the composition before it reports the key, and gives the key a code of its own.
 */
export function isForInputMethod({ isComposing, keyCode, timeStamp }: KeyboardEvent): boolean {
  return isComposing || keyCode === TAKEN || timeStamp - endedAt < SAME_KEY_MS;
}
