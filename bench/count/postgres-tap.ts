import type { Tap } from './relay.js';

/** A round trip: something asked of PostgreSQL, and the answer that all of it is done. */
export interface RoundTrip {
  /** `application_name` of the session. */
  readonly session: string;
  /** The statement's text. If several were sent before PostgreSQL had to answer, the last one's. */
  readonly text: string;
}

/**
 * Reads the frontend/backend protocol, version 3 (PostgreSQL's manual, "Message Formats"). PostgreSQL ends its answer to a simple query
 * (`Q`), and to messages that end with `Sync` (`S`), with exactly one `ReadyForQuery` (`Z`). So each of these is a round trip. The log-in
 * is none.
 */
export class PostgresTap implements Tap {
  private readonly fromProcess = new Messages(true);
  private readonly fromServer = new Messages(false);
  /** Texts of prepared statements, by name. */
  private readonly prepared = new Map<string, string>();
  /** Texts that were sent and not answered yet. */
  private readonly asked: string[] = [];
  private session = '';
  private text = '';

  constructor(private readonly onTrip: (trip: RoundTrip) => void) {}

  sent(bytes: Buffer): void {
    for (const { type, body } of this.fromProcess.read(bytes)) {
      if (type === START) this.session = startUpParameter(body, 'application_name') ?? '';
      else if (type === 'P') this.parse(body);
      else if (type === 'B') this.text = this.prepared.get(strings(body)[1] ?? '') ?? '';
      else if (type === 'Q') this.asked.push(strings(body)[0] ?? '');
      else if (type === 'S') this.asked.push(this.text);
    }
  }

  came(bytes: Buffer): void {
    for (const { type } of this.fromServer.read(bytes)) {
      if (type !== 'Z') continue;
      const text = this.asked.shift();
      if (text !== undefined) this.onTrip({ session: this.session, text });
    }
  }

  /** Parse: the statement's name and its text. */
  private parse(body: Buffer): void {
    const [name = '', text = ''] = strings(body);
    this.prepared.set(name, text);
    this.text = text;
  }
}

/** Stands for the type of the first message, which has none. */
const START = 'start';

interface Message {
  readonly type: string;
  readonly body: Buffer;
}

/** Cuts a stream of bytes into messages: a letter, a length that includes itself, and a body. */
class Messages {
  private rest: Buffer = Buffer.alloc(0);

  /** A process's first message has no letter. */
  constructor(private starts: boolean) {}

  *read(bytes: Buffer): Generator<Message> {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    for (;;) {
      const head = this.starts ? 0 : 1;
      if (this.rest.length < head + 4) return;
      const end = head + this.rest.readInt32BE(head);
      if (this.rest.length < end) return;
      const type = this.starts ? START : String.fromCharCode(this.rest[0] ?? 0);
      const body = this.rest.subarray(head + 4, end);
      this.rest = this.rest.subarray(end);
      this.starts = false;
      yield { type, body };
    }
  }
}

/** The first two strings of a message. A zero ends each. */
function strings(body: Buffer): [string?, string?] {
  const first = body.indexOf(0);
  if (first < 0) return [];
  const second = body.indexOf(0, first + 1);
  return [body.toString('utf8', 0, first), body.toString('utf8', first + 1, second < 0 ? body.length : second)];
}

/** After the version: names and values, alternating. */
function startUpParameter(body: Buffer, name: string): string | undefined {
  const all = body.toString('utf8', 4).split('\0');
  const at = all.findIndex((part, n) => n % 2 === 0 && part === name);
  return at < 0 ? undefined : all[at + 1];
}
