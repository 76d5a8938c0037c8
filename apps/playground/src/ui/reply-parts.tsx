import type { MessagePart, ToolCall } from '@rejoinder/client';
import type { JSX } from 'preact';
import { CallList } from './call-list';
import { Markdown } from './markdown';
import { type Source, Sources } from './sources';

type Group =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'calls'; readonly calls: ToolCall[] }
  | { readonly kind: 'sources'; readonly sources: Source[] };

/** A reply that is more than text: its texts, tool calls and sources, in their order. */
export function ReplyParts({ parts }: { readonly parts: readonly MessagePart[] }): JSX.Element {
  return (
    <div class="parts">
      {grouped(parts).map((group, n) => {
        switch (group.kind) {
          case 'text':
            return <Markdown key={n} text={group.text} />;
          case 'calls':
            return <CallList key={n} calls={group.calls} />;
          case 'sources':
            return <Sources key={n} sources={group.sources} />;
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
    if (part.type === 'text') {
      if (part.text.trim() !== '') groups.push({ kind: 'text', text: part.text });
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
