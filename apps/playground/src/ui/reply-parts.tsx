import type { MessagePart, ToolCall } from '@rejoinder/client';
import type { JSX } from 'preact';
import { CallList } from './call-list';
import { Markdown } from './markdown';
import { partKey } from './part-key';
import { type Source, Sources } from './sources';
import { Thoughts } from './thoughts';

type Group =
  | { readonly kind: 'thoughts' | 'text'; readonly text: string }
  | { readonly kind: 'calls'; readonly calls: ToolCall[] }
  | { readonly kind: 'sources'; readonly sources: Source[] };

interface ReplyPartsProps {
  readonly jobId: string | null;
  readonly parts: readonly MessagePart[];
}

/** A reply that is more than text: its thoughts, texts, tool calls and sources, in their order. */
export function ReplyParts({ jobId, parts }: ReplyPartsProps): JSX.Element {
  return (
    <div class="parts">
      {grouped(parts).map((group, n, groups) => {
        const key = partKey(groups, n);
        switch (group.kind) {
          case 'thoughts':
            return <Thoughts key={key} id={`${jobId} ${key}`} text={group.text} />;
          case 'text':
            return <Markdown key={key} text={group.text} />;
          case 'calls':
            return <CallList key={key} calls={group.calls} />;
          case 'sources':
            return <Sources key={key} sources={group.sources} />;
        }
      })}
    </div>
  );
}

/** Neighbours of a kind become one list. A blank text and a part of a later contract are left out. */
function grouped(parts: readonly MessagePart[]): Group[] {
  const groups: Group[] = [];
  for (const part of parts) {
    const last = groups.at(-1);
    if (part.type === 'text' || part.type === 'reasoning') {
      const kind = part.type === 'text' ? 'text' : 'thoughts';
      if (part.text.trim() !== '') groups.push({ kind, text: part.text });
    } else if (part.type === 'tool_call') {
      if (last?.kind === 'calls') last.calls.push(part.tool_call);
      else groups.push({ kind: 'calls', calls: [part.tool_call] });
    } else if (part.type === 'source') {
      if (last?.kind === 'sources') last.sources.push(part);
      else groups.push({ kind: 'sources', sources: [part] });
    }
  }
  return groups;
}
