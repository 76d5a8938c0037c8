/**
 * A text that grows and is published piece by piece. The unpublished end is a string of its own: slicing it from the whole text would copy
 * that with each delta, since V8 joins concatenated strings when they are read.
 */
export class GrowingText {
  private rest = '';
  /** How much is published, in UTF-16 code units. */
  private published: number;

  /** Begins with a text that is published already. */
  constructor(public text: string) {
    this.published = text.length;
  }

  get length(): number {
    return this.text.length;
  }

  add(text: string): void {
    this.text += text;
    this.rest += text;
  }

  /** Makes the text so far one that PostgreSQL can store. Nothing follows that could complete a half pair. */
  end(): void {
    this.text = this.text.toWellFormed();
    this.rest = this.rest.toWellFormed();
  }

  /**
   * Takes the next unpublished piece before the offset `until`, of at most `longest` code units. It counts as published from now on.
   * @returns undefined: there is none, or only half a character
   */
  take(until: number, longest: number): { readonly offset: number; readonly text: string } | undefined {
    const offset = this.published;
    const text = wholeCharacters(this.rest.slice(0, Math.min(longest, Math.max(0, until - offset))));
    if (text === '') return undefined;
    this.published += text.length;
    this.rest = this.rest.slice(text.length);
    return { offset, text: text.toWellFormed() };
  }

  /** Marks the text from `offset` on as unpublished. */
  rewind(offset: number): void {
    const from = Math.max(0, offset);
    if (!(from < this.published)) return;
    this.published = from;
    this.rest = this.text.slice(from);
  }
}

const FIRST_HALF_AT_END = /[\uD800-\uDBFF]$/;

/** Cuts half a surrogate pair off the end of a text: the model's deltas may split a pair. */
export function wholeCharacters(text: string): string {
  return text.replace(FIRST_HALF_AT_END, '');
}
