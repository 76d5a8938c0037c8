import type { Message } from '@rejoinder/client';
import { inTab } from './storage';
import { Store } from './store';

/** A message on its way, with its idempotency key. */
interface Outgoing {
  readonly text: string;
  readonly key: string;
}

/**
 * The text that is being typed in a chat. It outlives a reload, a sign-in, and a message that could not be sent. A message on its way is
 * kept until the service has it. If it fails, it comes back with its old key, so that it is not sent twice.
 */
export class Draft {
  readonly text: Store<string>;
  private outgoing: Outgoing | undefined;

  constructor(private readonly chatId: string) {
    this.text = new Store(inTab.get(`draft:${chatId}`) ?? '');
    this.text.subscribe(() => inTab.set(`draft:${chatId}`, this.text.get() || undefined));
    this.outgoing = this.kept();
  }

  /** Takes the text out for sending; undefined when there is only white space. */
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

  /** The message could not be sent. Text that was typed meanwhile comes after it. */
  giveBack(text: string): void {
    const typed = this.text.get();
    this.text.set(typed === '' ? text : `${text}\n${typed}`);
  }

  /** After a reload: drops the message that was on its way if the history has it, else puts it back. */
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

/** 128 random bits. (`randomUUID` is missing in pages without TLS.) */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
