import type { Assistant } from '@rejoinder/client';

/** How an assistant is shown. */
export interface Talker {
  readonly name: string;
  /** Which of the tints it has: they go round, so that neighbours differ. */
  readonly tone: number;
}

const TONES = 4;

/** The assistants by their slugs; one that is no longer on offer, and may still have chats, is shown by its slug. */
export function talkerOf(assistants: readonly Assistant[] | undefined, slug: string): Talker {
  const place = assistants?.findIndex((assistant) => assistant.slug === slug) ?? -1;
  return { name: assistants?.[place]?.name ?? slug, tone: Math.max(0, place) % TONES };
}
