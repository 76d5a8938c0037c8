import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Icon } from './icons';

const SHOWN_MS = 1_600;

/** A button that copies; it says when it has. A page without TLS that is not of this machine may not copy: there is none there. */
export function Copy({ text, label }: { readonly text: string; readonly label: string }): JSX.Element | null {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  // Contrary to its type.
  if ((navigator.clipboard as Clipboard | undefined) === undefined) return null;
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text).then(
      () => setDone(true),
      () => undefined,
    );
  };
  return (
    <button
      class="icon-button small"
      type="button"
      aria-label={done ? 'Copied' : label}
      title={label}
      onClick={() => void copy()}
    >
      <Icon name={done ? 'check' : 'copy'} />
    </button>
  );
}
