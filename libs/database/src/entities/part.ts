/** A part of a reply besides its text and its tool calls, as the message stores it. */
export type OtherPart = ReasoningPart | SourcePart;

/** The model's visible thoughts before a step's text. */
export interface ReasoningPart {
  readonly type: 'reasoning';
  readonly text: string;
}

/** A source of the text, as the provider cites it. */
export interface SourcePart {
  readonly type: 'source';
  readonly url: string;
  readonly title: string | null;
}

/** The reasoning in these parts; empty: none. */
export function reasoningIn(parts: readonly OtherPart[] | null): string {
  return (parts ?? []).map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
}

/** The sources in these parts, in their order. */
export function sourcesIn(parts: readonly OtherPart[] | null): SourcePart[] {
  return (parts ?? []).filter((part) => part.type === 'source');
}
