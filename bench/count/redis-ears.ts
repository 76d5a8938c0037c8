import type { Ears } from './relay.js';

/** A command that was sent to Redis. */
export interface Command {
  /** In capital letters; of a script that BullMQ calls by its hash, `EVALSHA` and the hash's beginning. */
  readonly name: string;
  /** Whether it was the first to be sent since an answer came, or to a connection that owed none: commands behind it went with it. */
  readonly leads: boolean;
}

/** Reads commands as clients send them: RESP arrays of bulk strings (Redis's manual, "RESP protocol specification"). */
export class RedisEars implements Ears {
  private rest: Buffer = Buffer.alloc(0);
  private answered = true;

  constructor(private readonly heard: (command: Command) => void) {}

  sent(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    for (let next = readCommand(this.rest); next !== undefined; next = readCommand(this.rest)) {
      this.rest = this.rest.subarray(next.length);
      this.heard({ name: nameOf(next.words), leads: this.answered });
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

/** The command that the bytes begin with, its first two words, and its length; undefined while it has not all come. */
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
