import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Icon } from './icons';

const SHOWN_MS = 1_600;

/**
 * A button that copies, and says when it has. A page without TLS may not copy, unless it is from this machine; there the button is missing.
 */
export function Copy({ text, label }: { readonly text: string; readonly label: string }): JSX.Element | null {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  // The type says that it is always there.
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
