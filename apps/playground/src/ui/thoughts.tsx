import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { LONGEST_SHOWN, visible } from '../state/plain-text';
import { Icon } from './icons';
import { Prose } from './prose';

/** The thoughts that the reader has unfolded. They stay so when the reply moves into the history. */
const unfolded = new Set<string>();

interface ThoughtsProps {
  /** Names these thoughts among all others. */
  readonly id: string;
  readonly text: string;
  /** The model thinks now. */
  readonly isLive?: boolean;
}

/** The model's thoughts on one line. It unfolds to their text, in which nothing becomes markup. */
export function Thoughts({ id, text, isLive = false }: ThoughtsProps): JSX.Element {
  const [isOpen, setOpen] = useState(() => unfolded.has(id));
  return (
    <details
      class={isLive ? 'thoughts is-live' : 'thoughts'}
      open={isOpen}
      onToggle={({ currentTarget: { open } }) => {
        setOpen(open);
        if (open) unfolded.add(id);
        else unfolded.delete(id);
      }}
    >
      <summary>
        <span>{isLive ? 'Thinking…' : 'Thought for a while'}</span>
        <span class="call-chevron">
          <Icon name="chevron" />
        </span>
      </summary>
      {/* Only unfolded thoughts cost something. */}
      {isOpen && <ThoughtsText text={text} />}
    </details>
  );
}

function ThoughtsText({ text }: { readonly text: string }): JSX.Element {
  const shown = useMemo(() => visible(text.slice(0, LONGEST_SHOWN).trim()), [text]);
  const more = text.length - LONGEST_SHOWN;
  return (
    <div class="thoughts-text" tabIndex={0} role="group" aria-label="The model’s thoughts">
      <Prose text={shown} />
      {more > 0 && <p class="call-more">{more.toLocaleString()} more characters are not shown.</p>}
    </div>
  );
}
