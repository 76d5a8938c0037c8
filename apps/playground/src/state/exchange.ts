import { ApiError, ConnectionError, type Job, type JobEvent, type Message, type Rejoinder } from '@rejoinder/client';
import type { Draft } from './draft';
import { LiveReply } from './live-reply';
import type { Past } from './past';
import { mode } from './preferences';
import { problemFrom, problemOf } from './problem';
import { reach } from './service';
import { inTab } from './storage';
import { Store } from './store';
import { endedTurn, followed, isUnderWay, type Measured, NEW_TURN, problemOfJob, sent, type Turn } from './turn';
import { TurnCalls } from './turn-calls';
import type { View } from './view';
import { type Begin, Watching } from './watching';
import { endingOf, failureOf } from './words';

/** Pause before a turn that could not be sent is sent again, in milliseconds. */
const SEND_AGAIN_MS = 1_500;

/** The chat's parts that an exchange works on. */
export interface Setting {
  readonly client: Rejoinder;
  readonly chatId: string;
  readonly view: Store<View>;
  readonly past: Past;
  readonly draft: Draft;
  /** Aborts when nobody looks at the chat any more. */
  readonly signal: AbortSignal;
  /** The service has accepted a turn. */
  readonly onAccepted: () => void;
  /** The chat may have changed. */
  readonly onChange: () => void;
}

/** The turns of a chat, one at a time: sends them, watches the reply, stops it. */
export class Exchange {
  /** The reply that is being written. */
  readonly reply = new LiveReply();
  /** Its tool calls, and what the user says about them. */
  readonly calls: TurnCalls;
  /** The text that screen readers announce. */
  readonly announcement = new Store('');
  /** Measurements, by job. */
  readonly measured = new Store<ReadonlyMap<string, Measured>>(new Map());

  private readonly watching: Watching;
  /** When the turn was sent, on the page's clock, in milliseconds; undefined when it was not sent from here. */
  private sentAt: number | undefined;

  constructor(private readonly setting: Setting) {
    const { client, chatId, signal, view } = setting;
    this.watching = new Watching({
      client,
      chatId,
      signal,
      turn: () => this.turn,
      onAgain: (turn) => this.begin(turn, turn.job !== undefined),
      onEvent: (event) => this.take(event),
      onEnd: () => this.end(),
      onFailure: (error) => this.failed(error),
    });
    this.calls = new TurnCalls({
      client,
      signal,
      reply: this.reply,
      announce: (words) => this.announcement.set(words),
      notify: (message) => view.patch({ notice: { message } }),
      askAgain: () => this.watching.again(),
    });
    signal.addEventListener('abort', () => this.reply.stop());
  }

  /** Sends the draft. */
  send(): void {
    if (isUnderWay(this.turn)) return;
    const message = this.setting.draft.take();
    if (message === undefined) return;
    const { text, key } = message;
    this.sentAt = performance.now();
    this.watch({ ...NEW_TURN, text }, async function* (watched) {
      // A poll begins with the request that sends the turn, which must be as patient as a stream.
      for (;;) {
        try {
          yield* sent(watched, text, key);
          return;
        } catch (error) {
          if (!(error instanceof ConnectionError)) throw error;
          await new Promise((resolve) => setTimeout(resolve, SEND_AGAIN_MS));
          watched.signal.throwIfAborted();
        }
      }
    });
  }

  /** Follows an existing turn. */
  follow(jobId: string, job?: Job): void {
    this.sentAt = undefined;
    inTab.set(`job:${this.setting.chatId}`, jobId);
    this.watch({ ...NEW_TURN, job }, (watched) => followed(watched, jobId));
  }

  /** Ends the turn and keeps the reply so far. */
  async stop(): Promise<void> {
    const { turn } = this;
    if (!isUnderWay(turn)) return;
    if (turn.job !== undefined) return turn.stopping ? undefined : this.cancel(turn.job);
    // The service may have accepted the turn: then it is stopped as soon as its id is known. If the service is away, or the user asks
    // twice, the text goes back to the composer.
    if (turn.stopping || reach.get() === 'away') this.takeBack(turn);
    else this.patchTurn({ stopping: true });
  }

  /** After a reload: finds out why the newest message has no reply, if this tab knows its job. */
  async recall(): Promise<void> {
    const { client, chatId, signal, view } = this.setting;
    const newest = view.get().messages.at(-1);
    const jobId = inTab.get(`job:${chatId}`);
    if (newest?.role !== 'user' || jobId === undefined) return;
    const turn = await client.getJob(jobId, { signal }).then(endedTurn, () => undefined);
    if (turn?.job?.user_message_id === newest.id && turn.job.finished_at !== null) view.patch({ turn });
  }

  private get turn(): Turn | undefined {
    return this.setting.view.get().turn;
  }

  private takeBack({ text }: Turn): void {
    this.watching.leave();
    this.setting.view.patch({ turn: undefined });
    if (text !== undefined) this.setting.draft.giveBack(text);
  }

  private async cancel(job: Job): Promise<void> {
    const { client, signal, view } = this.setting;
    this.patchTurn({ stopping: true });
    try {
      await client.cancelJob(job.id, { signal });
    } catch (error) {
      // The turn has ended otherwise; its events say how.
      if (signal.aborted || (error instanceof ApiError && error.code === 'invalid_transition')) return;
      this.patchTurn({ stopping: false });
      view.patch({ notice: problemOf(error) });
    }
  }

  private watch(turn: Turn, begin: Begin): void {
    this.begin(turn, false);
    this.watching.start(begin);
  }

  /** The events of a turn begin to come. `goesOn`: once more, so the reply stays until there is more of it. */
  private begin(turn: Turn, goesOn: boolean): void {
    this.reply.begin(goesOn);
    if (!goesOn) this.calls.clear();
    // A text that is set twice must be announced twice.
    this.announcement.set('');
    this.setting.view.patch({ turn: { ...turn, mode: mode.get(), problem: undefined }, notice: undefined });
  }

  private async take(event: JobEvent): Promise<void> {
    switch (event.type) {
      case 'job':
        return this.takeJob(event.job);
      case 'delta':
        if (this.reply.text.add(event.text)) this.measureFirstPiece();
        return;
      case 'reasoning':
        return this.reply.think(event.text);
      case 'source':
        return this.reply.cite(event.source);
      case 'tool_call':
        return this.calls.take(event.toolCall);
      case 'reset':
        this.reply.keep(event.offset, event.reasoningOffset);
        return this.patchTurn({ startedOver: event.attempt });
      case 'message':
        return this.place(event.message);
      case 'failure':
        return this.patchTurn({ problem: problemFrom(event.error) });
    }
  }

  private async takeJob(job: Job): Promise<void> {
    const { past, draft, chatId, onAccepted } = this.setting;
    const { turn } = this;
    this.patchTurn({ job });
    if (turn?.job === undefined) {
      // From here on the service has the turn, so this tab can find it again.
      draft.accepted();
      inTab.set(`job:${chatId}`, job.id);
      if (turn?.stopping === true) void this.cancel(job);
      void past.catchUp().then(
        () => turn?.text !== undefined && onAccepted(),
        () => undefined,
      );
    }
    this.calls.takeJob(job);
    if (job.assistant_message !== null) await this.place(job.assistant_message);
  }

  private measureFirstPiece(): void {
    const { turn } = this;
    const known = this.measured.get();
    if (turn?.job === undefined || this.sentAt === undefined || known.has(turn.job.id)) return;
    this.measured.set(new Map(known).set(turn.job.id, { firstPieceMs: performance.now() - this.sentAt }));
  }

  /** Puts the reply into the history, in place of the live text. */
  private async place(message: Message): Promise<void> {
    const { past, view } = this.setting;
    if (view.get().messages.some(({ id }) => id === message.id)) return;
    await past.add(message);
    this.announcement.set(endingOf(message)?.sentence ?? `Reply: ${message.content.slice(0, 400)}`);
  }

  private end(): void {
    const { turn } = this;
    const { past, view } = this.setting;
    const problem = turn?.job && problemOfJob(turn.job, turn.problem);
    this.patchTurn({ ended: true, stopping: false, problem });
    this.reply.stop();
    this.calls.clear();
    if (problem !== undefined) {
      const { sentence, help } = failureOf(problem);
      this.announcement.set(`No reply: ${[sentence, help].filter(Boolean).join(' ')}`);
    }
    // A turn that the model rejects is left out of later prompts, with the messages it answers. It comes back when an operator requeues it.
    const isMarked = view.get().messages.some(({ in_context: inContext }) => inContext === false);
    if (problem !== undefined || isMarked) void past.lookAgain().catch(() => undefined);
    this.setting.onChange();
  }

  private failed(error: unknown): void {
    const { view, draft, onChange } = this.setting;
    const { turn } = this;
    if (turn?.job === undefined) {
      // The turn was not accepted, so the text goes back to the composer.
      if (turn?.text !== undefined) draft.giveBack(turn.text);
      view.patch({ turn: undefined, notice: problemOf(error) });
      if (error instanceof ApiError && error.code === 'turn_in_progress' && error.jobId !== undefined) {
        const notice = problemOf(error);
        this.follow(error.jobId);
        view.patch({ notice });
      } else if (error instanceof ApiError && error.status === 409) {
        onChange();
      }
      return;
    }
    this.patchTurn({ ended: true, stopping: false, problem: problemOf(error) });
    this.reply.stop();
    this.calls.clear();
  }

  private patchTurn(change: Partial<Turn>): void {
    const { turn } = this;
    if (turn !== undefined) this.setting.view.patch({ turn: { ...turn, ...change } });
  }
}
