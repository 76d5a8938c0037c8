import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface ProxyOptions {
  /** The user and password that the proxy demands, as `user:password`. */
  readonly credentials?: string;
  /** The port that the proxy listens on. Left out: any. */
  readonly port?: number;
}

/**
 * A forward proxy: tunnels (`CONNECT`), and requests with an absolute address. It resolves every name to the same port of this machine, so
 * a request that arrives there came through the proxy.
 */
export class Proxy {
  /** Each request: a method, and an address or a name with a port. */
  readonly asked: string[] = [];
  /** All bytes that the proxy could read, of requests and in tunnels. */
  seen = '';
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly credentials: string | undefined,
  ) {}

  /** Starts a proxy that connects to the port `target`. */
  static async start(target: number, { credentials, port = 0 }: ProxyOptions = {}): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server, credentials);
    server.on('connection', (socket) => proxy.watch(socket));
    server.on('connect', (asked, socket, head) => {
      proxy.asked.push(`CONNECT ${asked.url}`);
      if (!proxy.lets(asked.headers['proxy-authorization'])) {
        return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      }
      const onward = connect(target, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        if (head.length > 0) onward.write(head);
        socket.pipe(onward).pipe(socket as Socket);
      });
      proxy.keep(onward);
      for (const end of [socket, onward]) end.on('error', () => (socket.destroy(), onward.destroy()));
    });
    server.on('request', (asked, response) => {
      const { method = '', url = '', headers } = asked;
      proxy.asked.push(`${method} ${url}`);
      const { 'proxy-authorization': authorization, ...passed } = headers;
      if (!proxy.lets(authorization)) return void response.writeHead(407).end();
      const { pathname, search } = new URL(url);
      const onward = request({ port: target, method, path: pathname + search, headers: passed }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      asked.pipe(onward);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private lets(authorization: string | undefined): boolean {
    return this.credentials === undefined || authorization === `Basic ${btoa(this.credentials)}`;
  }

  private watch(socket: Socket): void {
    this.keep(socket);
    socket.on('data', (chunk: Buffer) => (this.seen += chunk.toString('latin1')));
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
  }
}
