import type { JSX } from 'preact';
import { useId, useMemo } from 'preact/hooks';
import { LONGEST_SHOWN, visible } from '../state/plain-text';
import { Copy } from './copy';

interface CallDataProps {
  readonly label: string;
  readonly text: string;
  /** JSON reads from left to right; a text has the direction of its first letter. */
  readonly isCode: boolean;
}

/** The input or the result of a tool: a text of strangers. It scrolls within bounds, and a very long one is cut. */
export function CallData({ label, text, isCode }: CallDataProps): JSX.Element {
  const id = useId();
  const shown = useMemo(() => visible(text.slice(0, LONGEST_SHOWN)), [text]);
  const more = text.length - LONGEST_SHOWN;
  return (
    <div class="call-data">
      <div class="call-data-head">
        <span id={id}>{label}</span>
        <Copy text={text} label={`Copy: ${label}`} />
      </div>
      <pre tabIndex={0} role="group" aria-labelledby={id} dir={isCode ? 'ltr' : 'auto'}>
        {shown}
      </pre>
      {more > 0 && <p class="call-more">{more.toLocaleString()} more characters are not shown; “Copy” has them all.</p>}
    </div>
  );
}
