import type { Assistant } from '@rejoinder/client';

/** How an assistant is shown. */
export interface Talker {
  readonly name: string;
  /** The number of the assistant's tint. Neighbours have different ones. */
  readonly tone: number;
}

const TONES = 4;

/** The assistants by slug. A removed one, which may still have chats, is shown by its slug. */
export function talkerOf(assistants: readonly Assistant[] | undefined, slug: string): Talker {
  const place = assistants?.findIndex((assistant) => assistant.slug === slug) ?? -1;
  return { name: assistants?.[place]?.name ?? slug, tone: Math.max(0, place) % TONES };
}
