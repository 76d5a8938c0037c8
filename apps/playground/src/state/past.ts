import type { Message, Rejoinder } from '@rejoinder/client';
import type { Store } from './store';
import type { View } from './view';

const PAGE = 40;
const NEWER_PAGE = 100;

/** The messages of a chat that were read: without gaps, up to the newest. They grow at both ends. */
export class Past {
  private after: string | null = null;
  private catching: Promise<void> = Promise.resolve();
  private older: Promise<void> | undefined;

  constructor(
    private readonly client: Rejoinder,
    private readonly chatId: string,
    private readonly view: Store<View>,
    private readonly signal: AbortSignal,
  ) {}

  /** Reads the newest page, as the first one. */
  async read(): Promise<Pick<View, 'messages' | 'before'>> {
    const { data, before, after } = await this.page({ limit: PAGE });
    this.after = after;
    return { messages: data, before };
  }

  /** Reads the newer messages, one call after the other. */
  catchUp(): Promise<void> {
    this.catching = this.catching.catch(() => undefined).then(() => this.readNewer());
    return this.catching;
  }

  /** The page of messages before those shown. */
  loadOlder(): Promise<void> {
    this.older ??= this.readOlder().finally(() => (this.older = undefined));
    return this.older;
  }

  /** Reads the newest messages again: whether the model gets a message (`in_context`) may change. */
  async lookAgain(): Promise<void> {
    const { data } = await this.page({ limit: PAGE });
    const read = new Map(data.map((message) => [message.id, message]));
    const { messages } = this.view.get();
    const now = messages.map((message) => {
      const again = read.get(message.id);
      return again === undefined || again.in_context === message.in_context ? message : again;
    });
    if (now.some((message, n) => message !== messages[n])) this.view.patch({ messages: now });
  }

  /** Puts a message at the end, after reading those between. */
  async add(message: Message): Promise<void> {
    if (this.view.get().messages.at(-1)?.seq === message.seq - 1) this.merge([message]);
    else await this.catchUp();
  }

  private async readNewer(): Promise<void> {
    for (;;) {
      const page = await this.page({ after: this.after, limit: NEWER_PAGE });
      this.merge(page.data);
      this.after = page.after ?? this.after;
      if (!page.has_more) return;
    }
  }

  private async readOlder(): Promise<void> {
    const { before } = this.view.get();
    if (before === null) return;
    const page = await this.page({ before, limit: PAGE });
    this.view.patch({ messages: [...page.data, ...this.view.get().messages], before: page.before });
  }

  private page(which: { readonly limit: number; readonly before?: string; readonly after?: string | null }) {
    return this.client.listMessages(this.chatId, { ...which, signal: this.signal });
  }

  /** `seq` has no gaps, so the newer messages continue where the known ones end. */
  private merge(incoming: readonly Message[]): void {
    const { messages } = this.view.get();
    const newest = messages.at(-1)?.seq ?? 0;
    const added = incoming.filter(({ seq }) => seq > newest);
    if (added.length > 0) this.view.patch({ messages: [...messages, ...added] });
  }
}
