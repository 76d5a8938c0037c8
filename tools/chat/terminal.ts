import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';

/** In milliseconds. Two signals this close are one Ctrl-C: the terminal sends it to npm too, which passes it on. */
const SAME_KEY_MS = 300;

/** Exit code when the output is closed: the shell's for a broken pipe. */
const NOBODY_READS = 141;

const CONTROLS = /[^\P{Cc}\t\n]/gu;

/** Input and output, of a terminal or of pipes. */
export class Terminal {
  /** A person watches. Without one, a reply is printed once it is whole. */
  readonly watched = process.stdout.isTTY;
  private readonly styled = this.watched && !process.env['NO_COLOR'];
  private readline: Interface | undefined;
  private muted = false;
  private isMidLine = false;
  /** The input has not ended. */
  private open = true;
  private stop: (() => void) | undefined;
  private stopping = false;
  private stoppedAt = 0;

  constructor() {
    process.on('SIGINT', () => this.interrupt());
    // The reader has read enough, as `head` does.
    process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? NOBODY_READS : 1));
  }

  /** The input, line by line, until Ctrl-D, Ctrl-C or its end. */
  async *lines(): AsyncGenerator<string> {
    // While a reply is printed, typed characters are not shown: they would appear in the middle of it.
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

  /** A person can be asked: input and output are a terminal, and remarks are seen, too. */
  get answers(): boolean {
    return process.stdin.isTTY && this.watched && process.stderr.isTTY && this.open;
  }

  /**
   * Asks the person for one line. @param question the program's own words
   * @returns the line without spaces around it; undefined: the signal aborted, or the input ended
   */
  ask(question: string, signal: AbortSignal): Promise<string | undefined> {
    const own = this.readline === undefined;
    const readline = this.readline ?? createInterface({ input: process.stdin, output: process.stdout, terminal: true });
    const muted = this.muted;
    this.muted = false;
    return new Promise<string | undefined>((resolve) => {
      const interrupt = (): void => this.interrupt();
      const done = (line?: string): void => {
        signal.removeEventListener('abort', aborted);
        readline.off('close', closed);
        this.muted = muted;
        if (own) readline.off('SIGINT', interrupt).close();
        resolve(line?.trim());
      };
      const closed = (): void => {
        this.open = false;
        done();
      };
      const aborted = (): void => done();
      if (signal.aborted || !this.open) return done();
      readline.on('close', closed);
      if (own) readline.on('SIGINT', interrupt);
      readline.question(this.style(1, question), { signal }, done);
      // After readline's own listener, which ends the line of the question.
      signal.addEventListener('abort', aborted);
    });
  }

  /** Until the returned function is called, Ctrl-C calls `stop`; otherwise, and the second time, it ends the program. */
  onStop(stop: () => void): () => void {
    this.stop = stop;
    this.stopping = false;
    return () => (this.stop = undefined);
  }

  /** Begins a line, unless the last text has ended one. */
  beginLine(): void {
    if (this.watched && this.isMidLine) this.write('\n');
  }

  /** Prints text as it is. */
  write(text: string): void {
    if (text !== '') this.isMidLine = !text.endsWith('\n');
    process.stdout.write(text);
  }

  /**
   * Prints text from the service. Control characters would be orders to a terminal, so they are removed there; a pipe gets the text as it
   * is.
   * @param style one of the terminal's styles, if it has any
   */
  quote(text: string, style = 0): void {
    const shown = this.watched ? harmless(text) : text;
    this.write(style === 0 ? shown : this.style(style, shown));
    if (text !== '') this.isMidLine = !text.endsWith('\n');
  }

  /** Prints a remark of this program. */
  note(text: string): void {
    this.remark(2, text);
  }

  complain(text: string): void {
    this.remark(31, text);
  }

  /** Text in one of the terminal's styles (ECMA-48, 8.3.117), if it has any. */
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

/** Text without control characters (ECMA-48, 8.3 and 5.3), except tabs and line ends. */
function harmless(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(CONTROLS, '\ufffd');
}
