import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createSecureServer } from 'node:tls';

/** A request, as it came. */
export interface ToolRequestSeen {
  readonly line: string;
  /** Names are in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers the n-th request, from 0: with these bytes, which end the connection, or as it likes. */
type Answer = string | ((socket: Socket, n: number) => void);

/** A server of tools that may answer with any bytes, as no library for HTTP would. */
export class ToolServer {
  readonly requests: ToolRequestSeen[] = [];
  /** Connections that are open. */
  readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(answer: Answer, tls?: { key: string; cert: string }): Promise<ToolServer> {
    const server = tls === undefined ? createServer() : createSecureServer(tls);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const tools = new ToolServer(server, `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`);
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => tools.serve(socket, answer));
    return tools;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private serve(socket: Socket, answer: Answer): void {
    this.sockets.add(socket.on('error', () => undefined));
    socket.on('close', () => this.sockets.delete(socket));
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += String(chunk);
      const [head = '', body] = text.split(/\r\n\r\n(.*)/s);
      const [line = '', ...fields] = head.split('\r\n');
      const headers = Object.fromEntries(
        fields.map((field) => [field.split(':')[0]?.toLowerCase() ?? '', field.replace(/^[^:]*:\s*/, '')]),
      );
      if (body === undefined || body.length < Number(headers['content-length'])) return;
      socket.removeAllListeners('data').resume();
      this.requests.push({ line, headers, body: Buffer.from(body, 'latin1').toString() });
      if (typeof answer === 'string') socket.end(answer);
      else answer(socket, this.requests.length - 1);
    });
  }
}

/** An answer whose length is right. */
export function answerOf(status: number, type: string, body: string, headers = ''): string {
  const length = Buffer.byteLength(body);
  return `HTTP/1.1 ${status} X\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n${headers}\r\n${body}`;
}
