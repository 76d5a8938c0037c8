import { ApiError, type Rejoinder, type ToolCall } from '@rejoinder/client';
import { type Problem, problemOf } from './problem';
import { Store } from './store';

/** The user's decision about a call, or its result. */
export type Said =
  | { readonly kind: 'approve' }
  | { readonly kind: 'deny'; readonly reason: string | undefined }
  | { readonly kind: 'result'; readonly content: unknown; readonly isError: boolean };

/** How far what the user said has come. */
export interface Saying {
  readonly isSending: boolean;
  /** Why the service did not take it. */
  readonly problem: Problem | undefined;
}

/** The part of the exchange that decisions use. */
export interface DecisionsSetting {
  readonly client: Rejoinder;
  readonly signal: AbortSignal;
  /** The call as it is after the user's decision. */
  readonly onDecided: (call: ToolCall) => void;
  /** Somebody else was quicker. @param words the service's */
  readonly onElsewhere: (callId: string, words: string) => void;
}

/** The user's decisions about the tool calls of the turn under way, by call. */
export class Decisions {
  readonly said = new Store<ReadonlyMap<string, Saying>>(new Map());

  constructor(private readonly setting: DecisionsSetting) {}

  /** Sends what the user says. @returns whether the call waits for the user no more */
  async say(jobId: string, callId: string, said: Said): Promise<boolean> {
    if (this.said.get().get(callId)?.isSending === true) return false;
    const { signal, onDecided, onElsewhere } = this.setting;
    this.note(callId, { isSending: true });
    try {
      const call = await this.send(jobId, callId, said);
      this.note(callId, {});
      onDecided(call);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (error instanceof ApiError && error.code === 'tool_call_decided') {
        this.note(callId, {});
        onElsewhere(callId, error.message);
        return true;
      }
      this.note(callId, { problem: problemOf(error) });
      return false;
    }
  }

  /** Another turn begins. */
  clear(): void {
    if (this.said.get().size > 0) this.said.set(new Map());
  }

  private send(jobId: string, callId: string, said: Said): Promise<ToolCall> {
    const { client, signal } = this.setting;
    switch (said.kind) {
      case 'approve':
        return client.decide(jobId, callId, 'approve', { signal });
      case 'deny':
        return client.decide(jobId, callId, 'deny', {
          signal,
          ...(said.reason !== undefined && { reason: said.reason }),
        });
      case 'result':
        return client.giveResult(jobId, callId, said.content, { signal, isError: said.isError });
    }
  }

  private note(callId: string, { isSending = false, problem }: Partial<Saying>): void {
    this.said.set(new Map(this.said.get()).set(callId, { isSending, problem }));
  }
}
