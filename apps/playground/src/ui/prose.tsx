import type { JSX } from 'preact';
import { memo } from './memo';

interface Block {
  readonly kind: 'text' | 'code';
  readonly text: string;
}

/** A user's text: nothing in it becomes markup, and only fenced code is set apart. Each paragraph has the direction of its first letter. */
export function Prose({
  text,
  isWriting = false,
}: {
  readonly text: string;
  readonly isWriting?: boolean;
}): JSX.Element {
  const blocks = blocksOf(text);
  return (
    <div class={isWriting ? 'prose is-writing' : 'prose'}>
      {blocks.map((block, n) => (
        <Paragraph key={n} kind={block.kind} text={block.text} />
      ))}
    </div>
  );
}

const Paragraph = memo(function Paragraph({ kind, text }: Block) {
  if (kind === 'text') return <p dir="auto">{text}</p>;
  return (
    <pre tabIndex={0} dir="ltr">
      <code>{text}</code>
    </pre>
  );
});

/** Paragraphs, and code between lines of three backquotes. Unclosed code goes on to the end. */
function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  text.split(/^```[^\n]*\n?/m).forEach((part, n) => {
    if (n % 2 === 1) blocks.push({ kind: 'code', text: part.replace(/\n$/, '') });
    else
      for (const paragraph of part.split(/\n{2,}/))
        if (paragraph.trim() !== '') blocks.push({ kind: 'text', text: paragraph.replace(/^\n|\n$/g, '') });
  });
  return blocks.length > 0 ? blocks : [{ kind: 'text', text }];
}
