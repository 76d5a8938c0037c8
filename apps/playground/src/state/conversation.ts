import {
  ApiError,
  type Chat,
  type ChatStatus,
  ConnectionError,
  isFinal,
  type Job,
  type JobEvent,
  type Message,
  type Rejoinder,
} from '@rejoinder/client';
import { Draft } from './draft';
import { LiveText } from './live-text';
import { mode } from './preferences';
import { type Problem, problemFrom, problemOf } from './problem';
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

export interface View {
  readonly phase: 'loading' | 'ready' | 'missing' | 'failed';
  readonly chat: Chat | undefined;
  /** In chronological order, without gaps. */
  readonly messages: readonly Message[];
  /** The cursor of what is older; null at the beginning. */
  readonly before: string | null;
  /** The turn under way, or the last one seen. */
  readonly turn: Turn | undefined;
  /** What could not be done, to be read beside the composer. */
  readonly notice: Problem | undefined;
}

type Begin = (watched: Watched) => AsyncIterable<JobEvent>;

const PAGE = 40;

/** Pause before a turn that could not be sent is sent once more, in milliseconds. */
const SEND_AGAIN_MS = 1_500;

/** One chat, as the page shows it: its history, the turn under way, and what is being typed. */
export class Conversation {
  readonly view = new Store<View>({
    phase: 'loading',
    chat: undefined,
    messages: [],
    before: null,
    turn: undefined,
    notice: undefined,
  });
  /** The reply while it is written. */
  readonly live = new LiveText();
  readonly draft: Draft;
  /** What is read out to those who do not see the page. */
  readonly announcement = new Store('');
  /** By job. */
  readonly measured = new Store<ReadonlyMap<string, Measured>>(new Map());

  private readonly left = new AbortController();
  private following = new AbortController();
  /** How the turn under way is watched from its beginning. */
  private begin: Begin | undefined;
  /** When it was sent, on the page's own clock, in milliseconds; undefined when it was not sent from here. */
  private sentAt: number | undefined;
  private after: string | null = null;
  private catching: Promise<void> = Promise.resolve();
  private older: Promise<void> | undefined;

  constructor(
    private readonly client: Rejoinder,
    readonly chatId: string,
    /** Told of the chat whenever it has changed. */
    private readonly onChat: (chat: Chat) => void,
  ) {
    this.draft = new Draft(chatId);
    const unsubscribe = [
      mode.subscribe(() => this.watchAnew()),
      // The client comes back by itself, but by and by; the page has just seen that it is time.
      reach.subscribe(() => reach.get() === 'there' && this.watchAnew()),
    ];
    this.left.signal.addEventListener('abort', () => unsubscribe.forEach((one) => one()));
  }

  /** Nobody looks at this chat any more; its turn goes on. */
  leave(): void {
    this.left.abort();
    this.following.abort();
    this.live.stop();
  }

  async load(): Promise<void> {
    try {
      const chat = await this.client.getChat(this.chatId, this.options);
      const page = await this.client.listMessages(this.chatId, { ...this.options, limit: PAGE });
      this.after = page.after;
      this.view.patch({ phase: 'ready', messages: page.data, before: page.before, notice: undefined });
      this.takeChat(chat);
      this.draft.compare(page.data);
      if (chat.unfinished_job_id !== null) this.follow(chat.unfinished_job_id);
      else await this.recall();
    } catch (error) {
      if (this.left.signal.aborted) return;
      const isMissing = error instanceof ApiError && error.status === 404;
      if (this.view.get().phase !== 'ready' || isMissing) {
        this.view.patch({ phase: isMissing ? 'missing' : 'failed', notice: problemOf(error) });
      }
    }
  }

  /** Looks whether something has changed: another tab may be at it. Costs a `304` when nothing has. */
  async look(): Promise<void> {
    const { phase, chat: known } = this.view.get();
    if (phase === 'missing' || phase === 'loading') return;
    if (phase === 'failed') return this.load();
    try {
      const chat = await this.client.getChat(this.chatId, this.options);
      if (chat === known) return;
      await this.catchUp();
      this.takeChat(chat);
      const { turn } = this.view.get();
      const job = chat.unfinished_job_id;
      if (job !== null && !isUnderWay(turn) && job !== turn?.job?.id) this.follow(job);
    } catch {
      // The banner says it when the service is away; the next look is soon.
    }
  }

  /** The page of messages before those shown. */
  loadOlder(): Promise<void> {
    this.older ??= this.readOlder().finally(() => (this.older = undefined));
    return this.older;
  }

  private async readOlder(): Promise<void> {
    const { before } = this.view.get();
    if (before === null) return;
    const page = await this.client.listMessages(this.chatId, { ...this.options, before, limit: PAGE });
    const { messages } = this.view.get();
    this.view.patch({ messages: [...page.data, ...messages], before: page.before });
  }

  /** Sends what is typed. */
  send(): void {
    if (isUnderWay(this.view.get().turn)) return;
    const message = this.draft.take();
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

  /** Asks for a reply to what the user has said already. */
  async again(): Promise<void> {
    await this.attempt(async () => {
      const job = await this.client.requestReply(this.chatId, this.options);
      this.follow(job.id, job);
    });
  }

  /** Ends the turn; what there is of the reply is kept. What was not accepted yet goes back to where it was typed. */
  async stop(): Promise<void> {
    const { turn } = this.view.get();
    if (!isUnderWay(turn) || turn.stopping) return;
    const { job, text } = turn;
    if (job === undefined) {
      this.following.abort();
      this.view.patch({ turn: undefined });
      if (text !== undefined) this.draft.giveBack(text);
      return;
    }
    this.view.patch({ turn: { ...turn, stopping: true } });
    try {
      await this.client.cancelJob(job.id, this.options);
    } catch (error) {
      // It has ended otherwise: the events tell how.
      if (error instanceof ApiError && error.code === 'invalid_transition') return;
      this.patchTurn({ stopping: false });
      this.view.patch({ notice: problemOf(error) });
    }
  }

  async change(status: ChatStatus): Promise<void> {
    await this.attempt(async () => this.takeChat(await this.client.updateChat(this.chatId, { status }, this.options)));
  }

  dismiss(): void {
    this.view.patch({ notice: undefined });
  }

  private get options(): { readonly signal: AbortSignal } {
    return { signal: this.left.signal };
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    this.dismiss();
    try {
      await work();
    } catch (error) {
      if (this.left.signal.aborted) return;
      this.view.patch({ notice: problemOf(error) });
      if (error instanceof ApiError && error.jobId !== undefined) this.follow(error.jobId);
    }
  }

  private takeChat(chat: Chat): void {
    this.view.patch({ chat });
    this.onChat(chat);
  }

  /** After a reload: why the newest message has no reply, where this tab knows. */
  private async recall(): Promise<void> {
    const newest = this.view.get().messages.at(-1);
    const jobId = inTab.get(`job:${this.chatId}`);
    if (newest?.role !== 'user' || jobId === undefined) return;
    const job = await this.client.getJob(jobId, this.options);
    if (job.user_message_id === newest.id && isFinal(job)) this.view.patch({ turn: endedTurn(job) });
  }

  private follow(jobId: string, job?: Job): void {
    this.sentAt = undefined;
    void this.watch({ ...NEW_TURN, job }, (watched) => followed(watched, jobId));
  }

  /** The same turn, watched in the other way, or at once instead of a little later. */
  private watchAnew(): void {
    const { turn } = this.view.get();
    if (!isUnderWay(turn) || this.begin === undefined) return;
    const id = turn.job?.id;
    void this.watch(turn, id === undefined ? this.begin : (watched) => followed(watched, id));
  }

  private async watch(turn: Turn, begin: Begin): Promise<void> {
    this.following.abort();
    const following = (this.following = new AbortController());
    const { signal } = following;
    this.begin = begin;
    // The same turn goes on: its text stays until there is more of it.
    this.live.begin(turn.job !== undefined && isUnderWay(this.view.get().turn));
    this.view.patch({ turn: { ...turn, mode: mode.get(), problem: undefined }, notice: undefined });
    try {
      for await (const event of begin({ client: this.client, chatId: this.chatId, mode: mode.get(), signal })) {
        if (signal.aborted) return;
        await this.take(event);
      }
      if (!signal.aborted) this.end();
    } catch (error) {
      if (!signal.aborted) this.failed(error);
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
      case 'error':
        return this.patchTurn({ problem: problemFrom(event.error) });
    }
  }

  private async takeJob(job: Job): Promise<void> {
    const isNew = this.view.get().turn?.job === undefined;
    this.patchTurn({ job });
    if (isNew) {
      // Accepted: from here on the service has it, and so this tab can find it.
      this.draft.accepted();
      inTab.set(`job:${this.chatId}`, job.id);
      void this.catchUp().catch(() => undefined);
    }
    if (job.assistant_message !== null) await this.place(job.assistant_message);
  }

  private measureFirstPiece(): void {
    const { turn } = this.view.get();
    const known = this.measured.get();
    if (turn?.job === undefined || this.sentAt === undefined || known.has(turn.job.id)) return;
    this.measured.set(new Map(known).set(turn.job.id, { firstPieceMs: performance.now() - this.sentAt }));
  }

  /** Puts the reply into the history, in place of the text that was shown while it was written. */
  private async place(message: Message): Promise<void> {
    const { messages } = this.view.get();
    if (messages.some(({ id }) => id === message.id)) return;
    if (messages.at(-1)?.seq === message.seq - 1) this.merge([message]);
    else await this.catchUp();
    this.announcement.set(
      message.status === 'incomplete' ? 'The reply was stopped.' : `Reply: ${message.content.slice(0, 400)}`,
    );
  }

  private end(): void {
    const { turn } = this.view.get();
    const problem = turn?.job && problemOfJob(turn.job, turn.problem);
    this.patchTurn({ ended: true, stopping: false, problem });
    this.live.stop();
    if (problem !== undefined) this.announcement.set(`No reply: ${problem.message}`);
    void this.look();
  }

  private failed(error: unknown): void {
    const { turn } = this.view.get();
    if (turn?.job === undefined) {
      // It was not accepted: what was typed goes back.
      if (turn?.text !== undefined) this.draft.giveBack(turn.text);
      this.view.patch({ turn: undefined, notice: problemOf(error) });
      if (error instanceof ApiError && error.code === 'turn_in_progress' && error.jobId !== undefined) {
        const notice = problemOf(error);
        this.follow(error.jobId);
        this.view.patch({ notice });
      } else if (error instanceof ApiError && error.status === 409) {
        void this.look();
      }
      return;
    }
    this.patchTurn({ ended: true, stopping: false, problem: problemOf(error) });
    this.live.stop();
  }

  private patchTurn(change: Partial<Turn>): void {
    const { turn } = this.view.get();
    if (turn !== undefined) this.view.patch({ turn: { ...turn, ...change } });
  }

  /** Reads what came since, one after the other. */
  private catchUp(): Promise<void> {
    this.catching = this.catching.catch(() => undefined).then(() => this.readNewer());
    return this.catching;
  }

  private async readNewer(): Promise<void> {
    for (;;) {
      const page = await this.client.listMessages(this.chatId, { ...this.options, after: this.after, limit: 100 });
      this.merge(page.data);
      this.after = page.after ?? this.after;
      if (!page.has_more) return;
    }
  }

  /** `seq` has no gaps, so what is newer than the newest goes on where that ends. */
  private merge(incoming: readonly Message[]): void {
    const { messages } = this.view.get();
    const newest = messages.at(-1)?.seq ?? 0;
    const added = incoming.filter(({ seq }) => seq > newest);
    if (added.length > 0) this.view.patch({ messages: [...messages, ...added] });
  }
}
