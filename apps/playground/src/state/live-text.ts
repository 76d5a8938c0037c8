import { Store } from './store';

/** The text of a reply that is being written. Pieces come faster than a screen can show, so they are shown once a frame. */
export class LiveText {
  /** The part of the text that is shown. */
  readonly shown = new Store('');
  private text = '';
  private frame = 0;

  /** The length of the text so far, in UTF-16 code units. */
  get length(): number {
    return this.text.length;
  }

  /** Another stream begins. `goesOn`: it is the same reply, whose text stays until there is more of it. */
  begin(goesOn: boolean): void {
    this.text = '';
    if (!goesOn) this.clear();
  }

  /** @returns this is the first piece of the text */
  add(piece: string): boolean {
    const isFirst = this.text === '';
    this.text += piece;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.text.length >= this.shown.get().length) this.shown.set(this.text);
    });
    return isFirst;
  }

  /** Forgets the text from an offset on. */
  keep(offset: number): void {
    const text = this.text.slice(0, offset);
    this.clear();
    this.text = text;
    this.shown.set(text);
  }

  private clear(): void {
    this.stop();
    this.text = '';
  }

  /** Nothing is being written any more. */
  stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.shown.set('');
  }
}
