import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { GrowingMarkdown } from '../markdown/growing';
import { type Block, blocksOf } from '../markdown/parser';
import { elementsOf } from './elements';
import { memo } from './memo';
import { Prose } from './prose';

/** A longer text is shown as it is: parsing and drawing it would hold up the page. */
const LONGEST = 200_000;

/** Of the page's time parsing a text that is being written takes a fifth at most: after each parse it pauses four times as long. */
const PAUSES = 4;

/** What an assistant wrote: Markdown. Nothing in it becomes markup but by the elements drawn here. */
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

/** The same while it is written. */
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
  // The last piece must be seen, too, when no other comes after it.
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
