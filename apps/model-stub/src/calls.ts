import type { MessagesRequest } from './messages-request.js';

export type Outcome = 'running' | 'completed' | 'client_closed' | 'scripted_error' | 'scripted_cut' | 'rejected';

/** One call as the stand-in saw it. */
export interface Call extends Omit<MessagesRequest, 'lastUserText' | 'inputTokens'> {
  readonly id: string;
  readonly received_at: string;
  outcome: Outcome;
  output_tokens: number;
  ended_at: string | null;
}

const MOST_CALLS = 20_000;

/** The newest calls. */
export class Calls {
  private calls: Call[] = [];

  add(call: Call): Call {
    this.calls.push(call);
    if (this.calls.length > MOST_CALLS) this.calls.splice(0, this.calls.length - MOST_CALLS);
    return call;
  }

  list(): readonly Call[] {
    return this.calls;
  }

  clear(): void {
    this.calls = [];
  }
}
