import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Reads what passes on one connection. */
export interface Ears {
  /** From the process to its store. */
  sent(bytes: Buffer): void;
  /** From the store. */
  came(bytes: Buffer): void;
}

/** Stands between a process and a store, passes everything on as it is, and listens. Without TLS, for it must read. */
export class Relay {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** Where the process is to connect to instead. */
    readonly url: string,
  ) {}

  /** Starts one in front of the store at this address; `listen` is called for each connection. */
  static async start(store: string, listen: () => Ears): Promise<Relay> {
    const to = new URL(store);
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(store);
    url.port = String((server.address() as AddressInfo).port);
    const relay = new Relay(server, url.href);
    server.on('connection', (near) => {
      const far = connect({ port: Number(to.port), host: to.hostname, noDelay: true });
      const ears = listen();
      near.on('data', (bytes) => (ears.sent(bytes), far.write(bytes)));
      far.on('data', (bytes) => (ears.came(bytes), near.write(bytes)));
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

  /** When one end goes, the other does. */
  private join(one: Socket, other: Socket): void {
    this.sockets.add(one);
    one.on('error', () => undefined); // it closes
    one.on('close', () => {
      this.sockets.delete(one);
      other.destroySoon();
    });
  }
}
