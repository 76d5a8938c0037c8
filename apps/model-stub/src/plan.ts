import type { Block } from './blocks.js';
import type { MessagesRequest } from './messages-request.js';
import type { Script } from './scripts.js';
import type { InputUsage } from './usage.js';

/** A planned answer. */
export interface Plan {
  readonly id: string;
  /** The model, by its full name. */
  readonly model: string;
  readonly requestId: string;
  readonly request: MessagesRequest;
  readonly script: Script;
  readonly blocks: readonly Block[];
  readonly input: InputUsage;
  readonly pieceDelayMs: number;
  readonly stopReason: string;
  /** The stop sequence that ended it; null: none did. */
  readonly stopSequence: string | null;
  readonly stopDetails: object | null;
}
