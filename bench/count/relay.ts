import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Reads the bytes of one connection. */
export interface Tap {
  /** Bytes from the process to its store. */
  sent(bytes: Buffer): void;
  /** Bytes from the store. */
  came(bytes: Buffer): void;
}

/** Stands between a process and a store, passes everything on unchanged, and reads it. It works without TLS, since it must read. */
export class Relay {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** The address to which the process connects instead. */
    readonly url: string,
  ) {}

  /** Starts a relay in front of the store at this address. `listen` is called for each connection. */
  static async start(store: string, newTap: () => Tap): Promise<Relay> {
    const to = new URL(store);
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(store);
    url.port = String((server.address() as AddressInfo).port);
    const relay = new Relay(server, url.href);
    server.on('connection', (near) => {
      const far = connect({ port: Number(to.port), host: to.hostname, noDelay: true });
      const tap = newTap();
      near.on('data', (bytes) => (tap.sent(bytes), far.write(bytes)));
      far.on('data', (bytes) => (tap.came(bytes), near.write(bytes)));
      relay.join(near, far);
      relay.join(far, near);
    });
    return relay;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  /** When one side closes, the other is closed. */
  private join(one: Socket, other: Socket): void {
    this.sockets.add(one);
    one.on('error', () => undefined); // it closes
    one.on('close', () => {
      this.sockets.delete(one);
      other.destroySoon();
    });
  }
}
