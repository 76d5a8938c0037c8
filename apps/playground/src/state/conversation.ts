import { ApiError, type Chat, type ChatStatus, type Rejoinder, type UpdateChatRequest } from '@rejoinder/client';
import { Draft } from './draft';
import { Exchange } from './exchange';
import { Past } from './past';
import { problemOf } from './problem';
import { Store } from './store';
import { titleFrom } from './title';
import { isUnderWay } from './turn';
import { NEW_VIEW, type View } from './view';

/** One chat as the page shows it: its state, its messages, the turn under way, and the draft. */
export class Conversation {
  readonly view = new Store<View>(NEW_VIEW);
  readonly draft: Draft;
  readonly exchange: Exchange;
  private readonly past: Past;
  private readonly left = new AbortController();

  constructor(
    private readonly client: Rejoinder,
    readonly chatId: string,
    /** Called with the chat whenever it has changed. */
    private readonly onChat: (chat: Chat) => void,
  ) {
    const { view } = this;
    const { signal } = this.left;
    this.draft = new Draft(chatId);
    this.past = new Past(client, chatId, view, signal);
    this.exchange = new Exchange({
      client,
      chatId,
      view,
      past: this.past,
      draft: this.draft,
      signal,
      onAccepted: () => void this.name().catch(() => undefined),
      onChange: () => void this.refresh(),
    });
  }

  /** Called when nobody looks at this chat any more. Its turn goes on. */
  leave(): void {
    this.left.abort();
  }

  async load(): Promise<void> {
    try {
      const chat = await this.client.getChat(this.chatId, this.options);
      const read = await this.past.read();
      this.view.patch({ phase: 'ready', ...read, notice: undefined });
      this.takeChat(chat);
      this.draft.compare(read.messages);
      if (chat.unfinished_job_id !== null) this.exchange.follow(chat.unfinished_job_id);
      else await this.exchange.recall();
    } catch (error) {
      if (this.left.signal.aborted) return;
      const isMissing = error instanceof ApiError && error.status === 404;
      if (this.view.get().phase !== 'ready' || isMissing) {
        this.view.patch({ phase: isMissing ? 'missing' : 'failed', notice: problemOf(error) });
      }
    }
  }

  /** Looks for changes that another tab may have made. Costs a `304` when there are none. */
  async refresh(): Promise<void> {
    const { phase, chat: known } = this.view.get();
    if (phase === 'missing' || phase === 'loading') return;
    if (phase === 'failed') return this.load();
    try {
      const chat = await this.client.getChat(this.chatId, this.options);
      if (chat === known) return;
      await this.past.catchUp();
      this.takeChat(chat);
      const { turn } = this.view.get();
      const job = chat.unfinished_job_id;
      if (job !== null && !isUnderWay(turn) && job !== turn?.job?.id) this.exchange.follow(job);
    } catch {
      // The banner says that the service is away, and the next look is soon.
    }
  }

  loadOlder(): Promise<void> {
    return this.past.loadOlder();
  }

  /** Asks for a reply to the user's last message. */
  async again(): Promise<void> {
    await this.attempt(async () => {
      const job = await this.client.requestReply(this.chatId, this.options);
      this.exchange.follow(job.id, job);
    });
  }

  async change(status: ChatStatus): Promise<void> {
    await this.update({ status });
  }

  /** Gives the chat another title, or none. */
  async rename(title: string): Promise<void> {
    await this.update({ title: title.trim() || null });
  }

  dismiss(): void {
    this.view.patch({ notice: undefined });
  }

  private get options(): { readonly signal: AbortSignal } {
    return { signal: this.left.signal };
  }

  private async update(change: UpdateChatRequest): Promise<void> {
    await this.attempt(async () => this.takeChat(await this.client.updateChat(this.chatId, change, this.options)));
  }

  /**
   * A chat without a title is named after its first message, because chats with the same assistant look alike otherwise. Another tab may
   * have done it already, with the same result.
   */
  private async name(): Promise<void> {
    const { before, messages, chat: known } = this.view.get();
    const first = before === null ? messages.find(({ role }) => role === 'user') : undefined;
    if (first === undefined || known?.title !== null) return;
    const chat = await this.client.getChat(this.chatId, this.options);
    if (chat.title !== null) return;
    const title = titleFrom(first.content);
    this.takeChat(await this.client.updateChat(this.chatId, { title }, this.options));
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    this.dismiss();
    try {
      await work();
    } catch (error) {
      if (this.left.signal.aborted) return;
      this.view.patch({ notice: problemOf(error) });
      if (error instanceof ApiError && error.jobId !== undefined) this.exchange.follow(error.jobId);
    }
  }

  private takeChat(chat: Chat): void {
    const known = this.view.get().chat;
    // The answer is older than a change that was made here meanwhile.
    if (known !== undefined && chat.updated_at < known.updated_at) return;
    this.view.patch({ chat });
    this.onChat(chat);
  }
}
