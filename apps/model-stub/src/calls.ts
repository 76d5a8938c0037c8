import type { Billed } from './bill.js';
import type { MessagesRequest } from './messages-request.js';

export type Outcome =
  | 'running'
  | 'completed'
  | 'client_closed'
  | 'scripted_error'
  | 'scripted_cut'
  /** The call was refused for its content, as by the API. It costs nothing. */
  | 'rejected'
  /** The call was refused as longer than the model's context. It costs nothing. */
  | 'too_long';

/** One call as the stand-in saw it. */
export interface Call extends Omit<MessagesRequest, 'lastUserText' | 'messages' | 'system' | 'tools'> {
  readonly id: string;
  /** The `request-id` header of the answer. */
  readonly request_id: string;
  readonly received_at: string;
  /** The messages of the request; kept only for the newest calls, since they may be long. */
  messages: MessagesRequest['messages'] | null;
  system: MessagesRequest['system'];
  tools: MessagesRequest['tools'];
  /** The end of the user's last message, at most {@link ASKED_LENGTH} characters; kept for every call. */
  readonly asked: string;
  /** The last message is the assistant's, so the call continues a paused answer. */
  readonly continues: boolean;
  outcome: Outcome;
  output_tokens: number;
  /** Its cost, for any outcome. */
  billed: Billed;
  ended_at: string | null;
}

/** Long enough to distinguish questions. */
export const ASKED_LENGTH = 200;

const MOST_CALLS = 20_000;
const MOST_WITH_TEXT = 500;

/** The newest calls. */
export class Calls {
  private calls: Call[] = [];

  add(call: Call): Call {
    this.calls.push(call);
    if (this.calls.length > MOST_CALLS) this.calls.shift();
    const old = this.calls.at(-MOST_WITH_TEXT - 1);
    if (old !== undefined) Object.assign(old, { messages: null, system: null, tools: null });
    return call;
  }

  list(): readonly Call[] {
    return this.calls;
  }

  clear(): void {
    this.calls = [];
  }
}
