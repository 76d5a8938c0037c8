import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect } from 'preact/hooks';

/** Marks a card that asks the user something, for the focus to find the next one. */
export const ASKING = 'data-asking';

/**
 * Moves the focus to a card that asks the user something, when it appears. Somebody who types keeps the focus, and so does somebody who is
 * elsewhere on the page. The card itself takes it, not its first button: a key that was meant for the composer must not approve anything.
 * When the card goes, its focus goes to the next card, or back to the composer.
 */
export function useAskingFocus(card: RefObject<HTMLElement | null>, rowId: string, byTouch: boolean): void {
  useEffect(() => {
    if (isIdle(document.activeElement)) card.current?.focus({ preventScroll: true });
  }, []);
  useLayoutEffect(
    () => () => {
      if (card.current?.contains(document.activeElement) !== true) return;
      // The card still stands in the page here.
      queueMicrotask(() => {
        const next = document.querySelector<HTMLElement>(`[${ASKING}]`);
        // On a phone, the focus would open the keyboard over the messages.
        const composer = byTouch ? null : document.getElementById('message');
        (next ?? composer ?? document.getElementById(rowId))?.focus();
      });
    },
    [byTouch],
  );
}

/** Nobody types here: it is the page itself, the empty composer, or one of its buttons. */
function isIdle(active: Element | null): boolean {
  if (active === null || active === document.body) return true;
  return active instanceof HTMLTextAreaElement
    ? active.id === 'message' && active.value === ''
    : active.closest('.composer') !== null;
}
