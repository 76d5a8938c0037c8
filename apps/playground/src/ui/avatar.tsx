import type { JSX } from 'preact';
import type { Talker } from '../state/talker';

const letters = new Intl.Segmenter();

/** An assistant's initial, in its tint. It is hidden from screen readers, because the name stands beside it. */
export function Avatar({
  of,
  size = '',
}: {
  readonly of: Talker;
  readonly size?: 'small' | 'large' | '';
}): JSX.Element {
  return (
    <span class={`avatar tone-${of.tone} ${size}`} aria-hidden="true">
      {initialOf(of.name)}
    </span>
  );
}

/** The first visible character, as a capital. */
export function initialOf(name: string): string {
  const [first] = letters.segment(name.trim());
  return (first?.segment ?? '·').toLocaleUpperCase();
}
