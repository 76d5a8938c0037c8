import type { ComponentChildren, JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

export interface SheetProps {
  readonly label: string;
  readonly side: 'left' | 'right' | 'bottom' | 'center';
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A dialog above the page. It keeps the keyboard until it is closed, by Escape too; then the focus goes back to where it was. */
export function Sheet({ label, side, onClose, children }: SheetProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    const element = dialog.current;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`sheet sheet-${side}`}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        // A click on the backdrop is a click on the dialog itself; its content covers the rest.
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="sheet-inside">{children}</div>
    </dialog>
  );
}
