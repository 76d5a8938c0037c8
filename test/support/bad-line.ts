import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';

/** A fault of one connection. */
export interface Fault {
  /** Cuts it after this many bytes of the answer. */
  readonly cutAfter?: number;
  /** Ends a stream of events in order after this many bytes, between two events, as a stopping instance does. */
  readonly endAfter?: number;
  /** Adds a beat after each event, as in a stream that is idle for long. */
  readonly beats?: boolean;
  /** Withholds the answer, and cuts the connection once the answer comes. The server has carried out the request. */
  readonly loseAnswer?: boolean;
  /** Answers in the server's place. */
  readonly answer?: string;
}

/** The last bytes of an event and of its chunk. */
const END_OF_EVENT = Buffer.from('\n\n\r\n');

/** A beat, as a chunk. */
const BEAT = '2\r\n:\n\r\n';

/**
 * The first `length` bytes of a chunk, and one more if they end with an event's id: @microsoft/fetch-event-source accepts an id before its
 * event is whole.
 */
function cut(chunk: Buffer, length: number): Buffer {
  const first = chunk.subarray(0, length);
  return /\nid: \S+\n$/.test(first.toString('latin1')) ? chunk.subarray(0, length + 1) : first;
}

/** A bad line between a client and a server. */
export class BadLine {
  /** How many connections went through it. */
  connections = 0;
  /** How many bytes the clients have sent. */
  sent = 0;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  /** `faultOf` gives the fault of the n-th connection, from 0; undefined: none. */
  static async to(target: string, faultOf: (n: number) => Fault | undefined): Promise<BadLine> {
    const { hostname, port } = new URL(target);
    const server = createServer((client) => {
      const { cutAfter = Infinity, endAfter = Infinity, beats, loseAnswer, answer } = faultOf(line.connections++) ?? {};
      client.on('error', () => undefined);
      if (answer !== undefined) {
        client.once('data', () => client.end(answer));
        return;
      }
      const upstream = connect(Number(port), hostname);
      upstream.on('error', () => client.destroy());
      upstream.on('close', () => client.destroy());
      client.on('close', () => upstream.destroy());
      client.on('data', (chunk) => (line.sent += chunk.length));
      client.pipe(upstream);
      let passed = 0;
      upstream.on('data', (chunk) => {
        if (loseAnswer === true) return void client.destroy();
        const rest = cutAfter - passed;
        passed += chunk.length;
        const isEvent = chunk.subarray(-4).equals(END_OF_EVENT);
        if (passed > endAfter && isEvent) {
          client.write(chunk);
          client.end('0\r\n\r\n');
          upstream.destroy();
        } else if (chunk.length < rest) {
          client.write(chunk);
          if (beats === true && isEvent) client.write(BEAT);
        } else client.write(cut(chunk, rest), () => client.destroy());
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const line = new BadLine(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return line;
  }

  close(): void {
    this.server.close();
  }
}
