import {
  ApiError,
  ConnectionError,
  isFinal,
  type Job,
  type JobEvent,
  type Message,
  type Rejoinder,
  type ToolCall,
  TurnError,
} from '@rejoinder/client';
import { askingWords, stateOf } from './call-words';
import { Decisions } from './decisions';
import type { Draft } from './draft';
import { LiveCalls } from './live-calls';
import { LiveText } from './live-text';
import type { Past } from './past';
import { visibleLine } from './plain-text';
import { mode } from './preferences';
import { problemFrom, problemOf } from './problem';
import { reach } from './service';
import { inTab } from './storage';
import { Store } from './store';
import {
  endedTurn,
  followed,
  isUnderWay,
  type Measured,
  NEW_TURN,
  problemOfJob,
  sent,
  type Turn,
  type Watched,
} from './turn';
import type { View } from './view';
import { endingOf, failureOf } from './words';

type Begin = (watched: Watched) => AsyncIterable<JobEvent>;

/** Pause before a turn that could not be sent is sent again, in milliseconds. */
const SEND_AGAIN_MS = 1_500;

/** Pause before a turn that waits for a person is watched again, if watching it has ended, in milliseconds. */
const WATCH_AGAIN_MS = 2_000;

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
  readonly live = new LiveText();
  /** Its tool calls. */
  readonly calls = new LiveCalls();
  /** What the user says about them. */
  readonly decisions: Decisions;
  /** The text that screen readers announce. */
  readonly announcement = new Store('');
  /** Measurements, by job. */
  readonly measured = new Store<ReadonlyMap<string, Measured>>(new Map());

  private following = new AbortController();
  /** How the turn under way was begun, so that it can be watched anew. */
  private begin: Begin | undefined;
  /** When the turn was sent, on the page's clock, in milliseconds; undefined when it was not sent from here. */
  private sentAt: number | undefined;

  constructor(private readonly setting: Setting) {
    const { client, signal } = setting;
    this.decisions = new Decisions({
      client,
      signal,
      onDecided: (call) => {
        this.calls.take(call, this.live.length);
        this.askAgain();
        this.announcement.set(`${visibleLine(call.name)}: ${stateOf(call).words}.`);
      },
      onElsewhere: (callId, words) => {
        this.calls.settle(({ id }) => id === callId);
        this.askAgain();
        this.setting.view.patch({ notice: { message: `Somebody else was quicker. ${words}` } });
      },
    });
    const unsubscribe = [
      mode.subscribe(() => this.watchAnew()),
      // The client would try again after its pause. The page has just seen the service answer, so it tries now.
      reach.subscribe(() => reach.get() === 'there' && this.watchAnew()),
    ];
    document.addEventListener('visibilitychange', () => this.seen(), { signal });
    signal.addEventListener('abort', () => {
      unsubscribe.forEach((one) => one());
      this.following.abort();
      this.live.stop();
    });
  }

  /** Sends the draft. */
  send(): void {
    if (isUnderWay(this.turn)) return;
    const message = this.setting.draft.take();
    if (message === undefined) return;
    const { text, key } = message;
    this.sentAt = performance.now();
    void this.watch({ ...NEW_TURN, text }, async function* (watched) {
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
    void this.watch({ ...NEW_TURN, job }, (watched) => followed(watched, jobId));
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
    this.following.abort();
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

  /**
   * A hidden page lets go of a turn that the service has, until it is seen again. Each followed turn holds a connection, and a browser has
   * six for all tabs together.
   */
  private seen(): void {
    if (document.visibilityState !== 'visible') {
      if (this.turn?.job !== undefined) this.following.abort();
    } else if (this.following.signal.aborted) this.watchAnew();
  }

  /** Watches the same turn again: in the other way, or now rather than after a pause. */
  private watchAnew(): void {
    const { turn } = this;
    if (!isUnderWay(turn) || this.begin === undefined) return;
    const id = turn.job?.id;
    void this.watch(turn, id === undefined ? this.begin : (watched) => followed(watched, id));
  }

  private async watch(turn: Turn, begin: Begin): Promise<void> {
    const { client, chatId, view } = this.setting;
    this.following.abort();
    const following = (this.following = new AbortController());
    const { signal } = following;
    this.begin = begin;
    // The turn is the same, so its text stays until there is more of it.
    const goesOn = turn.job !== undefined && isUnderWay(this.turn);
    this.live.begin(goesOn);
    if (!goesOn) this.forgetCalls();
    // A text that is set twice must be announced twice.
    this.announcement.set('');
    view.patch({ turn: { ...turn, mode: mode.get(), problem: undefined }, notice: undefined });
    try {
      for await (const event of begin({ client, chatId, mode: mode.get(), signal })) {
        if (signal.aborted) return;
        await this.take(event);
        if (document.visibilityState !== 'visible') this.seen();
      }
      if (signal.aborted) return;
      if (this.turn?.job === undefined || isFinal(this.turn.job)) this.end();
      else this.watchLater(signal);
    } catch (error) {
      if (signal.aborted) return;
      const isPatient = error instanceof ConnectionError && reach.get() === 'there';
      // A stream in which nothing happens is given up after two hours. A person may take longer.
      if (isPatient && this.turn?.job?.status === 'requires_action') return this.watchLater(signal);
      // The job is known already, and says why.
      if (error instanceof TurnError) this.end();
      else this.failed(error);
    }
  }

  private watchLater(signal: AbortSignal): void {
    setTimeout(() => signal.aborted || this.watchAnew(), WATCH_AGAIN_MS);
  }

  private async take(event: JobEvent): Promise<void> {
    switch (event.type) {
      case 'job':
        return this.takeJob(event.job);
      case 'delta':
        if (this.live.add(event.text)) this.measureFirstPiece();
        return;
      case 'tool_call':
        return this.takeCall(event.toolCall);
      case 'reset':
        this.live.keep(event.offset);
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
    const waiting = job.required_action?.tool_calls ?? [];
    for (const call of waiting) this.takeCall(call);
    // A stream shows each call itself, also one that waits while others run.
    if (mode.get() === 'poll') this.calls.settle(({ id }) => !waiting.some((call) => call.id === id));
    if (job.assistant_message !== null) await this.place(job.assistant_message);
  }

  private takeCall(call: ToolCall): void {
    if (this.calls.take(call, this.live.length)) this.announcement.set(askingWords(visibleLine(call.name), call));
  }

  /** A call waits no more. A poll that pauses would learn of it late. */
  private askAgain(): void {
    if (mode.get() === 'poll') this.watchAnew();
  }

  private forgetCalls(): void {
    this.calls.clear();
    this.decisions.clear();
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
    this.live.stop();
    this.forgetCalls();
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
    this.live.stop();
    this.forgetCalls();
  }

  private patchTurn(change: Partial<Turn>): void {
    const { turn } = this;
    if (turn !== undefined) this.setting.view.patch({ turn: { ...turn, ...change } });
  }
}
