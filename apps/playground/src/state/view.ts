import type { Chat, Message } from '@rejoinder/client';
import type { Problem } from './problem';
import type { Turn } from './turn';

/** The visible state of a chat. */
export interface View {
  readonly phase: 'loading' | 'ready' | 'missing' | 'failed';
  readonly chat: Chat | undefined;
  /** In chronological order, without gaps. */
  readonly messages: readonly Message[];
  /** The cursor of older messages; null at the beginning of the chat. */
  readonly before: string | null;
  /** The turn under way, or the last one seen. */
  readonly turn: Turn | undefined;
  /** A problem to show beside the composer. */
  readonly notice: Problem | undefined;
}

export const NEW_VIEW: View = {
  phase: 'loading',
  chat: undefined,
  messages: [],
  before: null,
  turn: undefined,
  notice: undefined,
};
