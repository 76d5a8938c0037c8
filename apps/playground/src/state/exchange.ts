import {
  ApiError,
  ConnectionError,
  type Job,
  type JobEvent,
  type Message,
  type Rejoinder,
  TurnError,
} from '@rejoinder/client';
import type { Draft } from './draft';
import { LiveText } from './live-text';
import type { Past } from './past';
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

/** Pause before a turn that could not be sent is sent once more, in milliseconds. */
const SEND_AGAIN_MS = 1_500;

/** What an exchange is part of. */
export interface Setting {
  readonly client: Rejoinder;
  readonly chatId: string;
  readonly view: Store<View>;
  readonly past: Past;
  readonly draft: Draft;
  /** Ends when nobody looks at the chat any more. */
  readonly signal: AbortSignal;
  /** The service has accepted a turn. */
  readonly onAccepted: () => void;
  /** The chat may be another now. */
  readonly onChange: () => void;
}

/** The turns of a chat, one at a time: sent, watched while the reply is written, stopped. */
export class Exchange {
  /** The reply while it is written. */
  readonly live = new LiveText();
  /** What is read out to those who do not see the page. */
  readonly announcement = new Store('');
  /** By job. */
  readonly measured = new Store<ReadonlyMap<string, Measured>>(new Map());

  private following = new AbortController();
  /** How the turn under way is watched from its beginning. */
  private begin: Begin | undefined;
  /** When it was sent, on the page's own clock, in milliseconds; undefined when it was not sent from here. */
  private sentAt: number | undefined;

  constructor(private readonly setting: Setting) {
    const { signal } = setting;
    const unsubscribe = [
      mode.subscribe(() => this.watchAnew()),
      // The client comes back by itself, but by and by; the page has just seen that it is time.
      reach.subscribe(() => reach.get() === 'there' && this.watchAnew()),
    ];
    document.addEventListener('visibilitychange', () => this.seen(), { signal });
    signal.addEventListener('abort', () => {
      unsubscribe.forEach((one) => one());
      this.following.abort();
      this.live.stop();
    });
  }

  /** Sends what is typed. */
  send(): void {
    if (isUnderWay(this.turn)) return;
    const message = this.setting.draft.take();
    if (message === undefined) return;
    const { text, key } = message;
    this.sentAt = performance.now();
    void this.watch({ ...NEW_TURN, text }, async function* (watched) {
      // A poll begins with a request of its own, which must be as patient as a stream is.
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

  /** Follows a turn that is there already. */
  follow(jobId: string, job?: Job): void {
    this.sentAt = undefined;
    inTab.set(`job:${this.setting.chatId}`, jobId);
    void this.watch({ ...NEW_TURN, job }, (watched) => followed(watched, jobId));
  }

  /** Ends the turn; what there is of the reply is kept. */
  async stop(): Promise<void> {
    const { turn } = this;
    if (!isUnderWay(turn)) return;
    if (turn.job !== undefined) return turn.stopping ? undefined : this.cancel(turn.job);
    // The service may have it already: it is stopped as soon as it says so. When nobody answers, or one has waited enough,
    // it goes back to where it was typed.
    if (turn.stopping || reach.get() === 'away') this.takeBack(turn);
    else this.patchTurn({ stopping: true });
  }

  /** After a reload: why the newest message has no reply, where this tab knows. */
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
      // It has ended otherwise: the events tell how.
      if (signal.aborted || (error instanceof ApiError && error.code === 'invalid_transition')) return;
      this.patchTurn({ stopping: false });
      view.patch({ notice: problemOf(error) });
    }
  }

  /**
   * A page that is hidden lets go of the turn, once the service has it, until it is seen again: each turn that is followed
   * holds a connection, and browsers have six of them for all tabs together.
   */
  private seen(): void {
    if (document.visibilityState !== 'visible') {
      if (this.turn?.job !== undefined) this.following.abort();
    } else if (this.following.signal.aborted) this.watchAnew();
  }

  /** The same turn, watched in the other way, or at once instead of a little later. */
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
    // The same turn goes on: its text stays until there is more of it.
    this.live.begin(turn.job !== undefined && isUnderWay(this.turn));
    // What is said twice is read out twice.
    this.announcement.set('');
    view.patch({ turn: { ...turn, mode: mode.get(), problem: undefined }, notice: undefined });
    try {
      for await (const event of begin({ client, chatId, mode: mode.get(), signal })) {
        if (signal.aborted) return;
        await this.take(event);
        if (document.visibilityState !== 'visible') this.seen();
      }
      if (!signal.aborted) this.end();
    } catch (error) {
      if (signal.aborted) return;
      // Its job has been taken in, and says why.
      if (error instanceof TurnError) this.end();
      else this.failed(error);
    }
  }

  private async take(event: JobEvent): Promise<void> {
    switch (event.type) {
      case 'job':
        return this.takeJob(event.job);
      case 'delta':
        if (this.live.add(event.text)) this.measureFirstPiece();
        return;
      case 'reset':
        this.live.clear();
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
      // Accepted: from here on the service has it, and so this tab can find it.
      draft.accepted();
      inTab.set(`job:${chatId}`, job.id);
      if (turn?.stopping === true) void this.cancel(job);
      void past.catchUp().then(
        () => turn?.text !== undefined && onAccepted(),
        () => undefined,
      );
    }
    if (job.assistant_message !== null) await this.place(job.assistant_message);
  }

  private measureFirstPiece(): void {
    const { turn } = this;
    const known = this.measured.get();
    if (turn?.job === undefined || this.sentAt === undefined || known.has(turn.job.id)) return;
    this.measured.set(new Map(known).set(turn.job.id, { firstPieceMs: performance.now() - this.sentAt }));
  }

  /** Puts the reply into the history, in place of the text that was shown while it was written. */
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
    if (problem !== undefined) {
      const { sentence, help } = failureOf(problem);
      this.announcement.set(`No reply: ${[sentence, help].filter(Boolean).join(' ')}`);
    }
    // A turn that the model does not take is left out from then on, with what was asked before it.
    // And it is taken in again when an operator puts it back.
    const isMarked = view.get().messages.some(({ in_context: inContext }) => inContext === false);
    if (problem !== undefined || isMarked) void past.lookAgain().catch(() => undefined);
    this.setting.onChange();
  }

  private failed(error: unknown): void {
    const { view, draft, onChange } = this.setting;
    const { turn } = this;
    if (turn?.job === undefined) {
      // It was not accepted: what was typed goes back.
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
  }

  private patchTurn(change: Partial<Turn>): void {
    const { turn } = this;
    if (turn !== undefined) this.setting.view.patch({ turn: { ...turn, ...change } });
  }
}
