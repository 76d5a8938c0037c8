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
   * @param at the length of the text before it, if that is known
   * @returns whether the call begins to wait for a person
   */
  take(call: ToolCall, at?: number): boolean {
    const calls = this.shown.get();
    const known = calls.find((one) => one.call.id === call.id);
    const isNews = needsPerson(call) && (known === undefined || stageOf(call) > stageOf(known.call));
    if (known === undefined) {
      // A poll may bring a later call before a stream brings the earlier ones.
      const later = calls.findIndex((one) => one.call.step > call.step);
      this.shown.set(calls.toSpliced(later < 0 ? calls.length : later, 0, { call, at: at ?? 0, isSettled: false }));
    } else {
      const next = stageOf(call) >= stageOf(known.call) ? { ...known, call, isSettled: false } : known;
      if (next !== known || (at !== undefined && at !== known.at)) {
        this.shown.set(calls.map((one) => (one === known ? { ...next, at: at ?? known.at } : one)));
      }
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
