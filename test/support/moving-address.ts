import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** An address that leads to one port of this machine, and later to another. Open connections stay where they are. */
export class MovingAddress {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private target: number,
  ) {}

  static async start(target: number): Promise<MovingAddress> {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = new MovingAddress(server, target);
    server.on('connection', (near) => {
      const far = connect({ port: address.target, host: '127.0.0.1', noDelay: true });
      near.pipe(far).pipe(near);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        address.sockets.add(one);
        one.on('error', () => undefined); // it closes
        one.on('close', () => {
          address.sockets.delete(one);
          other.destroySoon();
        });
      }
    });
    return address;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** New connections lead there from now on. */
  moveTo(port: number): void {
    this.target = port;
  }

  /** Breaks the open connections. The server has got what was sent before, and may not notice. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }
}
