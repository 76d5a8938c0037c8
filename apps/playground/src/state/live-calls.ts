import type { ToolCall } from '@rejoinder/client';
import { needsPerson } from './call-words';
import { Store } from './store';

/** A tool call of the reply that is being written. */
export interface LiveCall {
  readonly call: ToolCall;
  /** Where in the text it stands: after this many UTF-16 code units. */
  readonly at: number;
  /** Somebody decided it, and the page does not know how yet: a poll shows only calls that wait. */
  readonly isSettled: boolean;
}

/** The tool calls of the reply that is being written, in their order. */
export class LiveCalls {
  readonly shown = new Store<readonly LiveCall[]>([]);

  /**
   * Takes a call in, or its next state. A state that is older than the known one changes nothing: an answer to a request may overtake the
   * stream.
   * @param at the length of the text before it, for a new call
   * @returns whether the call begins to wait for a person
   */
  take(call: ToolCall, at: number): boolean {
    const calls = this.shown.get();
    const known = calls.find((one) => one.call.id === call.id);
    const isNews = needsPerson(call) && (known === undefined || stageOf(call) > stageOf(known.call));
    if (known === undefined) this.shown.set([...calls, { call, at, isSettled: false }]);
    else if (stageOf(call) >= stageOf(known.call)) {
      this.shown.set(calls.map((one) => (one === known ? { ...one, call, isSettled: false } : one)));
    }
    return isNews;
  }

  /** Somebody decided these calls, and how is not known yet. */
  settle(isOver: (call: ToolCall) => boolean): void {
    const isNews = ({ call, isSettled }: LiveCall): boolean => !isSettled && needsPerson(call) && isOver(call);
    const calls = this.shown.get();
    if (calls.some(isNews)) this.shown.set(calls.map((one) => (isNews(one) ? { ...one, isSettled: true } : one)));
  }

  clear(): void {
    if (this.shown.get().length > 0) this.shown.set([]);
  }
}

/** States of an earlier stage never follow those of a later one. */
function stageOf({ status }: ToolCall): number {
  if (status === 'awaiting_approval') return 0;
  if (status === 'awaiting_result') return 1;
  return status === 'queued' || status === 'running' ? 2 : 3;
}
