import type { Assistant, Chat, Rejoinder } from '@rejoinder/client';
import { Conversation } from './conversation';
import { type Problem, problemOf } from './problem';
import { connect, reach } from './service';
import { Store } from './store';

export interface Lists {
  /** Undefined until they are known. */
  readonly assistants: readonly Assistant[] | undefined;
  /** Newest activity first; undefined until they are known. */
  readonly chats: readonly Chat[] | undefined;
  /** The cursor of less recent chats; null at the end. */
  readonly before: string | null;
  readonly problem: Problem | undefined;
}

/** How often the visible page looks for changes, in milliseconds: while the service answers, and while it is away. */
const REFRESH_MS = 5_000;
const REFRESH_AWAY_MS = 1_000;

const PAGE = 20;

/** All that a signed-in user sees: the assistants, the chats, and the open chat. */
export class Workspace {
  readonly lists = new Store<Lists>({ assistants: undefined, chats: undefined, before: null, problem: undefined });
  readonly conversation = new Store<Conversation | undefined>(undefined);
  readonly client: Rejoinder = connect();
  private readonly left = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private refreshing = false;
  /** Aborted when the user goes elsewhere while a chat is being opened, so that the older click does not win. */
  private going = new AbortController();

  constructor(readonly user: string) {
    const { signal } = this.left;
    addEventListener('hashchange', () => this.openFromAddress(), { signal });
    addEventListener('focus', () => void this.refresh(), { signal });
    document.addEventListener('visibilitychange', () => void this.refresh(), { signal });
    signal.addEventListener(
      'abort',
      reach.subscribe(() => this.refreshLater()),
    );
    this.openFromAddress();
    void this.refresh();
  }

  /** Another user signs in, or nobody is signed in any more. */
  leave(): void {
    this.left.abort();
    this.going.abort();
    clearTimeout(this.timer);
    this.conversation.get()?.leave();
  }

  /** Opens the chat with an assistant, and creates it if there is none. */
  async talkTo(assistant: string): Promise<void> {
    this.lists.patch({ problem: undefined });
    this.going.abort();
    const { signal } = (this.going = new AbortController());
    try {
      const chat = await this.client.openChat(assistant, {}, { signal });
      this.upsert(chat);
      location.hash = addressOf(chat.id);
    } catch (error) {
      if (!signal.aborted) this.lists.patch({ problem: problemOf(error) });
    }
  }

  async moreChats(): Promise<void> {
    const { before, chats = [] } = this.lists.get();
    if (before === null) return;
    const page = await this.client.listChats({ before, limit: PAGE, signal: this.left.signal });
    this.lists.patch({ chats: merged(page.data, chats), before: page.before });
  }

  private openFromAddress(): void {
    this.going.abort();
    const chatId = /^#\/chats\/([\w-]+)$/.exec(location.hash)?.[1];
    const open = this.conversation.get();
    if (open?.chatId === chatId) return;
    open?.leave();
    if (chatId === undefined) return this.conversation.set(undefined);
    const conversation = new Conversation(this.client, chatId, (chat) => this.upsert(chat));
    this.conversation.set(conversation);
    void conversation.load();
  }

  /** Looks for changes, if the page is visible. Most requests cost a `304`. */
  private async refresh(): Promise<void> {
    if (this.refreshing || document.visibilityState !== 'visible') return this.refreshLater();
    this.refreshing = true;
    try {
      await Promise.all([this.readLists(), this.conversation.get()?.refresh()]);
    } finally {
      this.refreshing = false;
      this.refreshLater();
    }
  }

  private refreshLater(): void {
    clearTimeout(this.timer);
    if (this.left.signal.aborted) return;
    this.timer = setTimeout(() => void this.refresh(), reach.get() === 'away' ? REFRESH_AWAY_MS : REFRESH_MS);
  }

  private async readLists(): Promise<void> {
    const { signal } = this.left;
    try {
      const assistants = this.lists.get().assistants ?? (await this.client.listAssistants({ signal }));
      const page = await this.client.listChats({ limit: PAGE, signal });
      const { chats, before } = this.lists.get();
      this.lists.patch({
        assistants,
        chats: merged(page.data, chats ?? []),
        // Keeps the cursor: older chats that were loaded stay in the list.
        before: chats === undefined ? page.before : before,
        problem: undefined,
      });
    } catch (error) {
      if (!signal.aborted && this.lists.get().chats === undefined) this.lists.patch({ problem: problemOf(error) });
    }
  }

  private upsert(chat: Chat): void {
    const { chats } = this.lists.get();
    // Otherwise the first page will contain it.
    if (chats !== undefined) this.lists.patch({ chats: merged([chat], chats) });
  }
}

export const addressOf = (chatId: string): string => `#/chats/${chatId}`;

/** Chats by newest activity, each once. `newer` wins. */
function merged(newer: readonly Chat[], older: readonly Chat[]): readonly Chat[] {
  const byId = new Map([...older, ...newer].map((chat) => [chat.id, chat]));
  const chats = [...byId.values()].sort((a, b) => compare(b.last_message_at, a.last_message_at) || compare(b.id, a.id));
  return isSame(chats, older) ? older : chats;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function isSame(a: readonly Chat[], b: readonly Chat[]): boolean {
  return a.length === b.length && a.every((chat, n) => chat === b[n]);
}
