import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { GrowingMarkdown } from '../markdown/growing';
import { type Block, blocksOf } from '../markdown/parser';
import { elementsOf } from './elements';
import { memo } from './memo';
import { Prose } from './prose';

/** In characters. A longer text is shown as it is, because parsing and drawing it would block the page. */
const LONGEST = 200_000;

/** Parsing a growing text takes at most a fifth of the page's time: after each parse it pauses four times as long. */
const PAUSES = 4;

/** An assistant's text as Markdown. Only the elements drawn here become markup. */
export function Markdown({ text }: { readonly text: string }): JSX.Element {
  const isShort = text.length <= LONGEST;
  const blocks = useMemo(() => (isShort ? blocksOf(text) : []), [text]);
  if (!isShort) return <Prose text={text} />;
  return (
    <div class="prose">
      <Group blocks={blocks} />
    </div>
  );
}

/** The same for a text that is being written. */
export function WritingMarkdown({ text }: { readonly text: string }): JSX.Element {
  const isShort = text.length <= LONGEST;
  const groups = useGrowing(isShort ? text : '');
  if (!isShort) return <Prose text={text} isWriting />;
  return (
    <div class="prose is-writing">
      {groups.map((blocks, n) => (
        <Group key={n} blocks={blocks} />
      ))}
    </div>
  );
}

function useGrowing(text: string): readonly (readonly Block[])[] {
  const growing = useRef<GrowingMarkdown>(undefined);
  const pausesUntil = useRef(0);
  const [, again] = useState(0);
  growing.current ??= new GrowingMarkdown();
  const now = performance.now();
  const pause = pausesUntil.current - now;
  if (pause <= 0) {
    growing.current.update(text);
    pausesUntil.current = now + (1 + PAUSES) * (performance.now() - now);
  }
  // The last piece must be shown, even if no other comes after it.
  useEffect(() => {
    if (pause <= 0) return;
    const timer = setTimeout(() => again((n) => n + 1), pause);
    return () => clearTimeout(timer);
  });
  return growing.current.groups;
}

const Group = memo(function Group({ blocks }: { readonly blocks: readonly Block[] }) {
  return (
    <>
      {blocks.map((block, n) => (
        <Drawn key={n} block={block} />
      ))}
    </>
  );
});

const Drawn = memo(function Drawn({ block }: { readonly block: Block }) {
  return <>{elementsOf(block.tokens)}</>;
});
