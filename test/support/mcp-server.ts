import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createMcpHandler, Server as CurrentServer } from '@modelcontextprotocol/server';
import { Server as EarlierServer } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

/** What a tool of a test's server gets: the parameters of the request, and the server's way to its client. */
export interface Called {
  readonly params: any;
  readonly signal: AbortSignal;
  readonly server: any;
  readonly notify: (notification: any) => Promise<void>;
}

/** A server of a test. Its parts may be changed while it runs. */
export interface McpParts {
  /** The tools, as `tools/list` shows them. */
  tools: any[];
  /** How many tools a page has (default: all). */
  page?: number;
  /** What `tools/call` answers. */
  call: (called: Called) => any;
  /** Answers a request in the server's place. False: it does not. */
  instead?: (response: ServerResponse, body: any, request: IncomingMessage) => boolean;
}

/** A running MCP server. */
export class McpTestServer {
  /** The requests that came, in their order. */
  readonly requests: { method: string; headers: IncomingMessage['headers']; body: any }[] = [];
  readonly sessions = new Map<string, StreamableHTTPServerTransport>();
  /** How many requests have no whole answer yet, and are not given up. */
  open = 0;
  readonly #server: HttpServer;

  private constructor(handle: (server: McpTestServer, request: IncomingMessage, response: ServerResponse) => unknown) {
    this.#server = createServer((request, response) => {
      this.open += 1;
      response.on('close', () => (this.open -= 1));
      void handle(this, request, response);
    });
  }

  /** Starts a server that answers each request by `handle`. */
  static async raw(
    handle: (request: IncomingMessage, response: ServerResponse, body: any) => unknown,
  ): Promise<McpTestServer> {
    return start(
      new McpTestServer(async (server, request, response) => handle(request, response, await bodyOf(server, request))),
    );
  }

  /** Starts a server of the current protocol, which has no sessions (and answers clients of 2025 without sessions). */
  static async current(parts: McpParts): Promise<McpTestServer> {
    const handler = createMcpHandler(() => {
      const mcp = new CurrentServer({ name: 'test', version: '1' }, { capabilities: { tools: {} } });
      mcp.setRequestHandler('tools/list', ({ params }) => listed(parts, params) as never);
      mcp.setRequestHandler(
        'tools/call',
        ({ params }, ctx) =>
          parts.call({
            params: { ...params, _meta: ctx.mcpReq._meta },
            signal: ctx.mcpReq.signal,
            server: mcp,
            notify: (n) => ctx.mcpReq.notify(n),
          }) as never,
      );
      return mcp;
    });
    return start(
      new McpTestServer(async (server, request, response) => {
        const body = await bodyOf(server, request);
        if (parts.instead?.(response, body, request) === true) return;
        const gone = new AbortController();
        response.on('close', () => gone.abort());
        const answer = await handler.fetch(
          new Request(`http://localhost${request.url}`, {
            method: request.method ?? 'GET',
            headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)] as [string, string]),
            ...(body !== undefined && { body: JSON.stringify(body) }),
            signal: gone.signal,
          }),
        );
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        if (answer.body === null) response.end();
        else
          Readable.fromWeb(answer.body as never)
            .on('error', () => response.destroy())
            .pipe(response);
      }),
    );
  }

  /** Starts a server of 2025 without sessions, which answers by JSON. */
  static async sessionless(parts: McpParts): Promise<McpTestServer> {
    return start(
      new McpTestServer(async (server, request, response) => {
        const body = await bodyOf(server, request);
        if (request.method === 'GET') return response.writeHead(405).end();
        const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
        await earlier(parts).connect(transport);
        return transport.handleRequest(request, response, body);
      }),
    );
  }

  /** Starts a server of 2025, with sessions, which answers by streams. */
  static async earlier(parts: McpParts): Promise<McpTestServer> {
    return start(
      new McpTestServer(async (server, request, response) => {
        const body = await bodyOf(server, request);
        if (parts.instead?.(response, body, request) === true) return;
        const id = request.headers['mcp-session-id'] as string | undefined;
        let transport = id === undefined ? undefined : server.sessions.get(id);
        if (id !== undefined && transport === undefined) {
          const error = { code: -32001, message: 'Session not found' };
          return response.writeHead(404).end(JSON.stringify({ jsonrpc: '2.0', error, id: null }));
        }
        if (transport === undefined) {
          transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: () => randomUUID(),
            onsessioninitialized: (made) => void server.sessions.set(made, transport as StreamableHTTPServerTransport),
            onsessionclosed: (ended) => void server.sessions.delete(ended),
          });
          await earlier(parts).connect(transport);
        }
        return transport.handleRequest(request, response, body);
      }),
    );
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`;
  }

  /** The methods of the JSON-RPC messages that came, or the HTTP methods of other requests. */
  get methods(): string[] {
    return this.requests.map(({ method, body }) => body?.method ?? method);
  }

  listen(): Promise<unknown> {
    return once(this.#server.listen(0, '127.0.0.1'), 'listening');
  }

  async stop(): Promise<void> {
    for (const transport of this.sessions.values()) await transport.close();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

async function start(server: McpTestServer): Promise<McpTestServer> {
  await server.listen();
  return server;
}

function earlier(parts: McpParts): EarlierServer {
  const mcp = new EarlierServer({ name: 'test', version: '1' }, { capabilities: { tools: {} } });
  mcp.setRequestHandler(ListToolsRequestSchema, ({ params }) => listed(parts, params) as never);
  mcp.setRequestHandler(
    CallToolRequestSchema,
    async ({ params }, extra) =>
      parts.call({ params, signal: extra.signal, server: mcp, notify: (n) => extra.sendNotification(n) }) as never,
  );
  return mcp;
}

function listed({ tools, page = tools.length }: McpParts, params: { cursor?: string } | undefined): object {
  const from = Number(params?.cursor ?? 0);
  const next = from + page;
  return { tools: tools.slice(from, next), ...(next < tools.length && { nextCursor: String(next) }) };
}

async function bodyOf(server: McpTestServer, request: IncomingMessage): Promise<any> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const body: unknown = text === '' ? undefined : JSON.parse(text);
  server.requests.push({ method: request.method ?? '', headers: request.headers, body });
  return body;
}
