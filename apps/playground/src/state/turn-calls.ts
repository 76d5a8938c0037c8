import type { Job, Rejoinder, ToolCall } from '@rejoinder/client';
import { askingWords, stateOf } from './call-words';
import { Decisions } from './decisions';
import type { LiveReply } from './live-reply';
import { visibleLine } from './plain-text';
import { mode } from './preferences';

/** The part of the exchange that tool calls use. */
export interface TurnCallsSetting {
  readonly client: Rejoinder;
  readonly signal: AbortSignal;
  readonly reply: LiveReply;
  /** Words for screen readers. */
  readonly announce: (words: string) => void;
  /** Words for everybody. */
  readonly notify: (message: string) => void;
  /** A call waits no more. A poll that pauses would learn of it late. */
  readonly askAgain: () => void;
}

/** The tool calls of the turn under way: what becomes of them, and what the user says about them. */
export class TurnCalls {
  readonly decisions: Decisions;

  constructor(private readonly setting: TurnCallsSetting) {
    const { client, signal, reply, announce, notify } = setting;
    this.decisions = new Decisions({
      client,
      signal,
      onDecided: (call) => {
        reply.calls.take(call);
        this.askAgain();
        announce(`${visibleLine(call.name)}: ${stateOf(call).words}.`);
      },
      onElsewhere: (callId, words) => {
        reply.calls.settle(({ id }) => id === callId);
        this.askAgain();
        notify(`Somebody else was quicker. ${words}`);
      },
    });
  }

  /** Takes a call from the stream. */
  take(call: ToolCall): void {
    if (this.setting.reply.takeStreamed(call)) this.asks(call);
  }

  /** Takes the calls for which a job waits. A poll shows no others. */
  takeJob(job: Job): void {
    const { calls } = this.setting.reply;
    const waiting = job.required_action?.tool_calls ?? [];
    for (const call of waiting) if (calls.take(call)) this.asks(call);
    // A stream shows each call itself, also one that waits while others run.
    if (mode.get() === 'poll') calls.settle(({ id }) => !waiting.some((call) => call.id === id));
  }

  clear(): void {
    this.setting.reply.calls.clear();
    this.decisions.clear();
  }

  private asks(call: ToolCall): void {
    this.setting.announce(askingWords(visibleLine(call.name), call));
  }

  private askAgain(): void {
    if (mode.get() === 'poll') this.setting.askAgain();
  }
}
