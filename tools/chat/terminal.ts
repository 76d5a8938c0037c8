import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';

/** Two Ctrl-C in so short a time are one: a terminal tells it to npm too, which passes it on. In milliseconds. */
const SAME_KEY_MS = 300;

/** The two sides of a terminal, or of pipes: lines that are typed, and what is said. */
export class Terminal {
  /** Whether somebody watches; if not, a reply is printed when it is whole. */
  readonly watched = process.stdout.isTTY;
  private readonly styled = this.watched && !process.env['NO_COLOR'];
  private readline: Interface | undefined;
  private muted = false;
  private stop: (() => void) | undefined;
  private stoppedAt = 0;

  constructor() {
    process.on('SIGINT', () => this.interrupt());
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

  /** Ctrl-C calls `stop`, until the returned function is called; otherwise it leaves. */
  onStop(stop: () => void): () => void {
    this.stop = stop;
    return () => (this.stop = undefined);
  }

  /** Text as it is. */
  write(text: string): void {
    process.stdout.write(text);
  }

  /** A remark of the program's own. */
  note(text: string): void {
    process.stderr.write(`${process.stderr.isTTY ? this.style(2, text) : text}\n`);
  }

  complain(text: string): void {
    process.stderr.write(`${process.stderr.isTTY ? this.style(31, text) : text}\n`);
    process.exitCode = 1;
  }

  /** Text in one of the terminal's styles (ECMA-48, 8.3.117), where it has any. */
  style(code: number, text: string): string {
    return this.styled ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  close(): void {
    this.readline?.close();
  }

  private interrupt(): void {
    const now = Date.now();
    const same = now - this.stoppedAt < SAME_KEY_MS;
    this.stoppedAt = now;
    if (same) return;
    if (this.stop !== undefined) this.stop();
    else if (this.readline !== undefined) this.readline.close();
    else process.exit(130);
  }
}
