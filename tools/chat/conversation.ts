import { ApiError, isWaiting, type JobEvent, type JobEvents, type OpenedChat, type Rejoinder } from '@rejoinder/client';
import { NobodyAnswers } from './nobody-answers.js';
import { Questions } from './questions.js';
import type { Terminal } from './terminal.js';
import { lineOf, sourceLineOf } from './tool-words.js';
import { endingOf } from './words.js';

/** How many messages of an older chat are shown at the beginning. */
const SHOWN_MESSAGES = 6;

/** The terminal's style of reasoning: faint. */
const FAINT = 2;

/** One chat in a terminal. */
export class Conversation {
  /** The kind of the last piece that was printed of a reply. */
  private printed: 'delta' | 'reasoning' | undefined;

  private constructor(
    private readonly client: Rejoinder,
    private readonly chat: OpenedChat,
    private readonly terminal: Terminal,
  ) {}

  /** The user's chat with the assistant. `anew` closes the present one. @throws RejoinderError */
  static async open(client: Rejoinder, assistant: string, terminal: Terminal, anew: boolean): Promise<Conversation> {
    let chat = await client.openChat(assistant).catch(async (error: unknown) => {
      if (!(error instanceof ApiError) || error.code !== 'not_found') throw error;
      const others = (await client.listAssistants()).map(({ slug }) => slug).join(', ');
      terminal.note(`The assistants on offer: ${others || 'none'}`);
      throw error;
    });
    if (anew) {
      await client.updateChat(chat.id, { status: 'closed' });
      chat = await client.openChat(assistant);
    }
    return new Conversation(client, chat, terminal);
  }

  /** Prints the last messages. */
  greet(user: string | undefined): void {
    if (!this.terminal.watched) return;
    const { id, assistant, messages } = this.chat;
    this.terminal.note(`chat ${id}${user === undefined ? '' : ` as ${user}`} · Ctrl-C stops a reply, Ctrl-D leaves`);
    for (const message of messages.slice(-SHOWN_MESSAGES)) {
      const { role, content } = message;
      const ending = endingOf(message);
      const who = role === 'user' ? 'you' : assistant;
      this.terminal.write(`${this.terminal.style(1, `${who} ▸`)} `);
      this.terminal.quote(`${content}\n`);
      if (ending !== undefined) this.terminal.note(ending);
    }
  }

  /**
   * Sends a turn and shows its reply; Ctrl-C cancels it. A reply that is already on its way is shown first. What tool calls want of a person
   * is asked in between.
   * @throws RejoinderError, NobodyAnswers
   */
  async ask(text: string): Promise<'answered' | 'canceled'> {
    for (;;) {
      try {
        return await this.show((signal) => this.client.streamTurn(this.chat.id, text, { signal }));
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'turn_in_progress' || error.jobId === undefined) throw error;
        this.terminal.note('A turn is in progress; first its reply:');
        const { jobId } = error;
        await this.show((signal) => this.client.followJob(jobId, { signal }));
      }
    }
  }

  private async show(follow: (signal: AbortSignal) => JobEvents): Promise<'answered' | 'canceled'> {
    const { terminal } = this;
    const leave = new AbortController();
    const events = follow(leave.signal);
    const questions = new Questions(this.client, terminal, events, (error) => leave.abort(error));
    let stopped = false;
    const cancel = async (): Promise<void> => {
      // A turn can be canceled once it is accepted. If Ctrl-C came before, cancel it as soon as its id is known.
      if (stopped && events.jobId !== undefined) await this.client.cancelJob(events.jobId).catch(tooLate);
    };
    const still = terminal.onStop(() => {
      stopped = true;
      void cancel().catch((error: unknown) => terminal.complain(String(error)));
    });
    if (terminal.watched) terminal.write(terminal.style(1, `${this.chat.assistant} ▸ `));
    this.printed = undefined;
    try {
      let first = true;
      for await (const event of events) {
        if (first) await cancel();
        first = false;
        this.print(event);
        if (event.type === 'tool_call' && terminal.answers) questions.take(event.toolCall);
        if (event.type !== 'job' || !isWaiting(event.job)) continue;
        if (!terminal.answers) throw new NobodyAnswers(event.job);
        event.job.required_action.tool_calls.forEach((call) => questions.take(call));
      }
    } finally {
      await questions.leave();
      still();
      if (terminal.watched) terminal.write('\n');
    }
    const { job, message } = events;
    // Into a pipe, only the whole reply is printed, never the text of a lost attempt.
    if (!terminal.watched && message !== undefined) terminal.quote(`${message.content}\n`);
    if (job?.status === 'canceled') {
      terminal.note(message === undefined ? 'Stopped before the reply began.' : (endingOf(message) ?? ''));
      return 'canceled';
    }
    for (const source of events.sources) terminal.note(sourceLineOf(source));
    const ending = message && endingOf(message);
    if (ending !== undefined) terminal.note(ending);
    return 'answered';
  }

  /** Prints text only where a person watches: an attempt may be lost, and takes its text with it. */
  private print(event: JobEvent): void {
    const { terminal } = this;
    if (event.type === 'tool_call') {
      const { status } = event.toolCall;
      // A question says so itself, and is not to be interrupted by the next one's line.
      const isAsked = terminal.answers && status.startsWith('awaiting_');
      terminal.beginLine();
      this.printed = undefined;
      if (status !== 'queued' && !isAsked) terminal.note(lineOf(event.toolCall));
    } else if (!terminal.watched) return;
    else if (event.type === 'delta' || event.type === 'reasoning') this.printPiece(event);
    else if (event.type === 'reset') {
      terminal.write(terminal.style(FAINT, ' … lost; once more:\n'));
      this.printed = undefined;
    }
  }

  /** Prints a piece of the reply or of the reasoning, each on lines of its own. Reasoning is faint, and named for terminals without styles. */
  private printPiece({ type, text }: { readonly type: 'delta' | 'reasoning'; readonly text: string }): void {
    const { terminal } = this;
    const begins = this.printed !== type;
    if (begins && (type === 'reasoning' || this.printed === 'reasoning')) terminal.beginLine();
    this.printed = type;
    // A step's text begins with the distance to the step before.
    const shown = begins ? text.replace(/^\n+/, '') : text;
    if (type === 'delta') terminal.quote(shown);
    else terminal.quote(begins ? `(thinking) ${shown}` : shown, FAINT);
  }
}

/** The reply ended just before the cancel, so it is shown. */
function tooLate(error: unknown): void {
  if (!(error instanceof ApiError) || error.code !== 'invalid_transition') throw error;
}
