import type { SourcePart } from '@rejoinder/client';
import type { LiveAside, Place } from './live-asides';
import type { LiveCall } from './live-calls';

/** A part of the reply that is being written, as it is drawn. */
export type LivePart =
  | { readonly kind: 'thoughts'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'sources'; readonly sources: readonly SourcePart[] }
  | { readonly kind: 'calls'; readonly calls: readonly LiveCall[] };

/**
 * Divides the text where thoughts and calls stand in it. Sources divide no text: they stand at its end, as they do in the stored reply. A
 * blank text is left out.
 */
export function livePartsOf(text: string, calls: readonly LiveCall[], asides: readonly LiveAside[]): LivePart[] {
  const parts: LivePart[] = [];
  let shown = 0;
  let sources: SourcePart[] = [];
  const showUntil = (at: number): void => {
    const piece = text.slice(shown, at);
    if (piece.trim() !== '') parts.push({ kind: 'text', text: piece });
    shown = Math.max(shown, at);
    if (sources.length > 0) parts.push({ kind: 'sources', sources });
    sources = [];
  };
  for (const { at, call, aside } of inOrder(calls, asides)) {
    if (aside?.kind === 'source') {
      sources.push(aside.source);
      continue;
    }
    showUntil(at);
    const last = parts.at(-1);
    if (aside !== undefined) parts.push({ kind: 'thoughts', text: aside.text });
    else if (last?.kind === 'calls') parts[parts.length - 1] = { kind: 'calls', calls: [...last.calls, call] };
    else parts.push({ kind: 'calls', calls: [call] });
  }
  showUntil(text.length);
  return parts;
}

type Item = Place &
  ({ readonly call: LiveCall; readonly aside?: undefined } | { readonly call?: undefined; readonly aside: LiveAside });

function inOrder(calls: readonly LiveCall[], asides: readonly LiveAside[]): Item[] {
  const items: Item[] = [
    // The third call stands between what has two calls before it and what has three.
    ...calls.map((call, n) => ({ at: call.at, calls: n + 0.5, call })),
    ...asides.map((aside) => ({ at: aside.at, calls: aside.calls, aside })),
  ];
  return items.sort((one, other) => one.at - other.at || one.calls - other.calls);
}
