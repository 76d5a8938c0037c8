import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Icon } from './icons';

const SHOWN_MS = 1_600;

/** A button that copies; it says when it has. */
export function Copy({ text, label }: { readonly text: string; readonly label: string }): JSX.Element {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async (): Promise<void> => {
    // Not there for pages without TLS that are not of this machine.
    await navigator.clipboard?.writeText(text).then(
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
