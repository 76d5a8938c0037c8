import { Store } from './store';

/** The text of a reply while it is written: pieces come faster than a screen can show, and are shown a frame at a time. */
export class LiveText {
  /** As far as it is to be seen. */
  readonly shown = new Store('');
  private text = '';
  private frame = 0;

  /** Another following begins. `goesOn`: of the same reply, whose text so far stays until there is more of it. */
  begin(goesOn: boolean): void {
    this.text = '';
    if (!goesOn) this.clear();
  }

  /** @returns whether it is the first of the text */
  add(piece: string): boolean {
    const isFirst = this.text === '';
    this.text += piece;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.text.length >= this.shown.get().length) this.shown.set(this.text);
    });
    return isFirst;
  }

  clear(): void {
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
