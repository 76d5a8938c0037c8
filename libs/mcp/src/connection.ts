import type { Client } from '@modelcontextprotocol/client';
import { version } from '#process/version.js';
import { Exchange, type RawResult } from './exchange.js';
import { EXCHANGE, Exchanges } from './exchanges.js';
import { faultOf, late, type Sdk } from './fault.js';
import { McpRefusal, McpWish } from './server-away.js';
import { untilAborted } from './until-aborted.js';

/** Longest time of a request for the SDK, in milliseconds. The signal of the caller is what limits it. */
const UNLIMITED_MS = 2 ** 31 - 1;

/** An address and the headers of all requests to it. Values are resolved, so they may be secrets. */
export interface McpAddress {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A call of a tool. */
export interface McpCall {
  readonly name: string;
  /** The input's schema as the server listed it. It says which parts of the input are sent as headers, too. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly input: Readonly<Record<string, unknown>>;
  /** `_meta` of the request. */
  readonly meta: Readonly<Record<string, unknown>>;
  /** Most bytes that are read of the answer. */
  readonly maxBytes: number;
}

/** The result of a call. */
export interface McpResult {
  /** The content blocks as the server sent them: their shape is not checked. */
  readonly content: readonly unknown[];
  /** The structured result, if there is one. */
  readonly structured: unknown;
  /** Whether the tool says that it failed. */
  readonly isError: boolean;
  /** The method of a request that the server made of us during the call, for instance `sampling/createMessage`. It was declined. */
  readonly asked: string | undefined;
}

/**
 * A client that knows which protocol a server speaks. It has a session if the server (of 2025) gave it one. With the current protocol
 * nothing stays open between requests.
 *
 * All methods throw `McpServerAway`, `McpRefusal`, `McpWish`, or the reason of their signal; its `TimeoutError` becomes a `McpServerAway`.
 */
export class McpConnection {
  private constructor(
    private readonly sdk: Sdk,
    private readonly client: Client,
    private readonly exchanges: Exchanges,
  ) {}

  /** Asks the server for its protocol, and begins a session if it needs one. */
  static async open(address: McpAddress, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<McpConnection> {
    signal.throwIfAborted();
    const sdk = await import('./mcp-sdk.js');
    let exchanges: Exchanges | undefined;
    try {
      exchanges = new Exchanges(sdk.StreamableHTTPClientTransport, address, fetch);
      const client = new sdk.Client(
        { name: 'rejoinder', version: version() },
        {
          capabilities: {},
          versionNegotiation: { mode: 'auto' },
          inputRequired: { autoFulfill: false },
          // Tools are called with a definition without an output schema, so nothing is validated.
          jsonSchemaValidator: {
            getValidator: () => (input) => ({ valid: true, data: input as never, errorMessage: undefined }),
          },
        },
      );
      await untilAborted(client.connect(exchanges, { timeout: UNLIMITED_MS }), signal);
      return new McpConnection(sdk, client, exchanges);
    } catch (error) {
      void exchanges?.close();
      if (signal.aborted) throw reasonOf(signal, false);
      throw faultOf(error, false, sdk);
    }
  }

  /** Whether the server says that it has tools. */
  get hasTools(): boolean {
    return this.client.getServerCapabilities()?.tools !== undefined;
  }

  /** One page of the tools, whose shape is not checked. Answers count in `exchange`, whose `take` gets the tools. */
  async page(cursor: string | undefined, exchange: Exchange, signal: AbortSignal): Promise<string | undefined> {
    const params = cursor === undefined ? {} : { cursor };
    const { nextCursor } = await this.#within(exchange, signal, (options) =>
      this.client.request({ method: 'tools/list', params }, options),
    );
    return nextCursor;
  }

  /** Calls a tool. When the signal aborts, it rejects at once, and the server is told without waiting for it. */
  async call({ name, inputSchema, input, meta, maxBytes }: McpCall, signal: AbortSignal): Promise<McpResult> {
    let content: readonly unknown[] = [];
    let structured: unknown;
    const exchange = new Exchange(maxBytes, ({ content: blocks, structuredContent, ...result }: RawResult) => {
      if ('task' in result) throw new McpWish('a task that goes on after its answer');
      structured = structuredContent;
      if (Array.isArray(blocks)) content = blocks;
      // The SDK checks the rest. What is no list stays, so that it is refused.
      return { ...result, content: Array.isArray(blocks) ? [] : blocks };
    });
    const definition = { name, inputSchema: { ...inputSchema, type: 'object' as const } };
    const result = await this.#within(exchange, signal, (options) =>
      this.client.callTool(
        { name, arguments: { ...input }, _meta: { ...meta } },
        { ...options, toolDefinition: definition },
      ),
    );
    return { content, structured, isError: result.isError === true, asked: exchange.asked };
  }

  /** Ends what is open. A session's end is sent, and not waited for. */
  close(): void {
    void this.client.close();
  }

  async #within<T>(
    exchange: Exchange,
    signal: AbortSignal,
    request: (options: { headers: Record<string, string>; signal: AbortSignal; timeout: number }) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const tag = this.exchanges.enter(exchange);
    try {
      return await request({ headers: { [EXCHANGE]: tag }, signal, timeout: UNLIMITED_MS });
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal, exchange.sent);
      const fault = faultOf(error, exchange.sent, this.sdk);
      if (!(fault instanceof McpRefusal) || exchange.asked === undefined) throw fault;
      throw new McpRefusal(fault.code, `${fault.message}\n${new McpWish(exchange.asked).message}`);
    } finally {
      this.exchanges.leave(tag);
    }
  }
}

/** What a request throws that was aborted. */
function reasonOf({ reason }: AbortSignal, mayHaveRun: boolean): unknown {
  return (reason as { name?: unknown } | undefined)?.name === 'TimeoutError' ? late(mayHaveRun) : reason;
}
