import type { SourcePart } from '@rejoinder/client';
import { Store } from './store';

/** Where something stands in the reply that is being written: behind so much text (UTF-16 code units) and so many tool calls. */
export interface Place {
  readonly at: number;
  readonly calls: number;
}

/** Thoughts of the model, or a source of the text, in the reply that is being written. */
export type LiveAside = Place &
  ({ readonly kind: 'thoughts'; readonly text: string } | { readonly kind: 'source'; readonly source: SourcePart });

/** The thoughts and the sources of the reply that is being written, in their order. Like its text, they are shown once a frame. */
export class LiveAsides {
  readonly shown = new Store<readonly LiveAside[]>([]);
  private asides: readonly LiveAside[] = [];
  private frame = 0;

  /** Another stream begins. `goesOn`: it is the same reply, which stays until there is more of it. */
  begin(goesOn: boolean): void {
    this.asides = [];
    if (!goesOn) this.clear();
  }

  /** Adds a piece of the thoughts. Those of one place are one. */
  think(text: string, place: Place): void {
    const last = this.asides.at(-1);
    const goesOn = last?.kind === 'thoughts' && last.at === place.at && last.calls === place.calls;
    this.set(
      goesOn
        ? [...this.asides.slice(0, -1), { ...last, text: last.text + text }]
        : [...this.asides, { ...place, kind: 'thoughts', text }],
    );
  }

  cite(source: SourcePart, place: Place): void {
    this.set([...this.asides, { ...place, kind: 'source', source }]);
  }

  /** Forgets the thoughts from an offset on, and all sources: those that stay come again. */
  keep(offset: number): void {
    let room = offset;
    const kept = this.asides.flatMap((aside) => {
      if (aside.kind === 'source' || room <= 0) return [];
      const text = aside.text.slice(0, room);
      room -= text.length;
      return [{ ...aside, text }];
    });
    this.clear();
    this.asides = kept;
    this.shown.set(kept);
  }

  clear(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.asides = [];
    if (this.shown.get().length > 0) this.shown.set([]);
  }

  private set(asides: readonly LiveAside[]): void {
    this.asides = asides;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (sizeOf(this.asides) >= sizeOf(this.shown.get())) this.shown.set(this.asides);
    });
  }
}

function sizeOf(asides: readonly LiveAside[]): number {
  return asides.reduce((sum, aside) => sum + (aside.kind === 'thoughts' ? aside.text.length : 1), 0);
}
