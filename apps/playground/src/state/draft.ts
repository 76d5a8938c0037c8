import type { Message } from '@rejoinder/client';
import { inTab } from './storage';
import { Store } from './store';

/** A message on its way, under the name by which the service knows it again. */
interface Outgoing {
  readonly text: string;
  readonly key: string;
}

/**
 * What is typed in a chat. It outlives a reload, a sign-in, and a message that could not be sent: what is on its way is kept
 * until the service has it, and comes back under its old key otherwise, so that it is not done twice.
 */
export class Draft {
  readonly text: Store<string>;
  private outgoing: Outgoing | undefined;

  constructor(private readonly chatId: string) {
    this.text = new Store(inTab.get(`draft:${chatId}`) ?? '');
    this.text.subscribe(() => inTab.set(`draft:${chatId}`, this.text.get() || undefined));
    this.outgoing = this.kept();
  }

  /** Takes the text out to be sent; undefined when there is nothing but space. */
  take(): Outgoing | undefined {
    const text = this.text.get().trim();
    if (text === '') return undefined;
    const key = this.outgoing?.text === text ? this.outgoing.key : newKey();
    this.keep({ text, key });
    this.text.set('');
    return this.outgoing;
  }

  /** The service has it. */
  accepted(): void {
    this.keep(undefined);
  }

  /** It could not be sent; what was typed meanwhile comes after it. */
  giveBack(text: string): void {
    const typed = this.text.get();
    this.text.set(typed === '' ? text : `${text}\n${typed}`);
  }

  /** After a reload: whether what was on its way then is in the history, or is to be sent again. */
  compare(messages: readonly Message[]): void {
    if (this.outgoing === undefined) return;
    const newest = messages.findLast(({ role }) => role === 'user');
    if (newest?.content === this.outgoing.text) this.keep(undefined);
    else if (this.text.get() === '') this.text.set(this.outgoing.text);
  }

  private keep(outgoing: Outgoing | undefined): void {
    this.outgoing = outgoing;
    inTab.set(`outgoing:${this.chatId}`, outgoing && JSON.stringify(outgoing));
  }

  private kept(): Outgoing | undefined {
    const kept = inTab.get(`outgoing:${this.chatId}`);
    return kept === undefined ? undefined : (JSON.parse(kept) as Outgoing);
  }
}

/** 128 random bits. (`randomUUID` is not there for pages without TLS.) */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
