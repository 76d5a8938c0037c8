import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';

/** Two Ctrl-C in so short a time are one: a terminal tells it to npm too, which passes it on. In milliseconds. */
const SAME_KEY_MS = 300;

/** Exit code when nobody reads what is printed: as a shell has it for a broken pipe. */
const NOBODY_READS = 141;

const CONTROLS = /[^\P{Cc}\t\n]/gu;

/** The two sides of a terminal, or of pipes: lines that are typed, and what is said. */
export class Terminal {
  /** Whether somebody watches; if not, a reply is printed when it is whole. */
  readonly watched = process.stdout.isTTY;
  private readonly styled = this.watched && !process.env['NO_COLOR'];
  private readline: Interface | undefined;
  private muted = false;
  private stop: (() => void) | undefined;
  private stopping = false;
  private stoppedAt = 0;

  constructor() {
    process.on('SIGINT', () => this.interrupt());
    // Whoever read has read enough, as `head` does.
    process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? NOBODY_READS : 1));
  }

  /** What is typed, line by line, until Ctrl-D, Ctrl-C or the end of the input. */
  async *lines(): AsyncGenerator<string> {
    // While a reply is written, what is typed is not shown: it would stand in the middle of it.
    const screen = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.muted) process.stdout.write(chunk);
        done();
      },
    });
    Object.defineProperty(screen, 'columns', { get: () => process.stdout.columns });
    const terminal = process.stdin.isTTY && this.watched;
    this.readline = createInterface({
      input: process.stdin,
      output: screen,
      terminal,
      prompt: this.style(1, 'you ▸ '),
    });
    // A terminal that readline reads gives Ctrl-C as a key, not as a signal.
    this.readline.on('SIGINT', () => this.interrupt());
    if (terminal) this.readline.prompt();
    for await (const line of this.readline) {
      this.muted = true;
      yield line;
      this.muted = false;
      if (terminal) this.readline.prompt();
    }
    if (this.watched) process.stdout.write('\n');
  }

  /** Ctrl-C calls `stop`, until the returned function is called; otherwise, or the second time, it leaves. */
  onStop(stop: () => void): () => void {
    this.stop = stop;
    this.stopping = false;
    return () => (this.stop = undefined);
  }

  /** Text as it is. */
  write(text: string): void {
    process.stdout.write(text);
  }

  /** What somebody else has written: a terminal would do what it says, a pipe gets it as it is. */
  quote(text: string): void {
    this.write(this.watched ? harmless(text) : text);
  }

  /** A remark of the program's own. */
  note(text: string): void {
    this.remark(2, text);
  }

  complain(text: string): void {
    this.remark(31, text);
  }

  /** Text in one of the terminal's styles (ECMA-48, 8.3.117), where it has any. */
  style(code: number, text: string): string {
    return this.styled ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  close(): void {
    this.readline?.close();
  }

  private remark(style: number, text: string): void {
    process.stderr.write(`${process.stderr.isTTY ? this.style(style, harmless(text)) : text}\n`);
  }

  private interrupt(): void {
    const now = Date.now();
    const same = now - this.stoppedAt < SAME_KEY_MS;
    this.stoppedAt = now;
    if (same) return;
    if (this.stop !== undefined && !this.stopping) {
      this.stopping = true;
      this.stop();
    } else if (this.stop === undefined && this.readline !== undefined) this.readline.close();
    else process.exit(130);
  }
}

/** Text without what terminals obey: the control characters (ECMA-48, 8.3 and 5.3) but for tabs and ends of lines. */
function harmless(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(CONTROLS, '\ufffd');
}
