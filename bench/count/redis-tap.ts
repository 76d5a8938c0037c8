import type { Tap } from './relay.js';

/** A command that was sent to Redis. */
export interface Command {
  /** In capital letters. For a script that BullMQ calls by its hash: `EVALSHA` and the beginning of the hash. */
  readonly name: string;
  /** The first command since an answer came, or on a connection without open answers. Commands after it went with it. */
  readonly leads: boolean;
}

/** Reads commands as clients send them: RESP arrays of bulk strings (Redis's manual, "RESP protocol specification"). */
export class RedisTap implements Tap {
  private rest: Buffer = Buffer.alloc(0);
  private answered = true;

  constructor(private readonly onCommand: (command: Command) => void) {}

  sent(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    for (let next = readCommand(this.rest); next !== undefined; next = readCommand(this.rest)) {
      this.rest = this.rest.subarray(next.length);
      this.onCommand({ name: nameOf(next.words), leads: this.answered });
      this.answered = false;
    }
  }

  came(): void {
    this.answered = true;
  }
}

function nameOf([command = '', argument = '']: readonly string[]): string {
  const name = command.toUpperCase();
  return name === 'EVALSHA' ? `EVALSHA ${argument.slice(0, 8)}` : name;
}

/** The first command in the bytes: its first two words, and its length; undefined until it is complete. */
function readCommand(bytes: Buffer): { words: string[]; length: number } | undefined {
  const line = (at: number): { value: number; next: number } | undefined => {
    const end = bytes.indexOf('\r\n', at);
    return end < 0 ? undefined : { value: Number(bytes.toString('latin1', at + 1, end)), next: end + 2 };
  };
  const head = line(0);
  if (head === undefined) return undefined;
  const words: string[] = [];
  let at = head.next;
  for (let n = 0; n < head.value; n++) {
    const length = line(at);
    if (length === undefined || length.next + length.value + 2 > bytes.length) return undefined;
    if (n < 2) words.push(bytes.toString('utf8', length.next, length.next + length.value));
    at = length.next + length.value + 2;
  }
  return { words, length: at };
}
