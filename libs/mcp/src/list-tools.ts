import { timeLimit } from '#process/time-limit.js';
import { type McpAddress, McpConnection } from './connection.js';
import { Exchange, type RawResult } from './exchange.js';
import { late } from './fault.js';
import { McpRefusal, McpServerAway, McpWish } from './server-away.js';
import { type Listing, siftTools } from './sift-tools.js';

/** Most bytes of a whole listing. */
const LARGEST_LISTING = 2 * 1024 * 1024;

/** Most pages of a listing: a server may make each as small as it likes. */
const MOST_PAGES = 100;

/** A server whose tools are listed. */
export interface ListedServer extends McpAddress {
  /** Its name in `mcp_servers`. */
  readonly name: string;
  /** The tools that are wanted, by their names on the server (default: all). */
  readonly allow?: readonly string[];
}

/** How a listing runs. */
export interface ListOptions {
  /** Longest time of the whole listing, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** For tests and proxies (default: Node's). */
  readonly fetch?: typeof globalThis.fetch;
}

/**
 * The tools of a server, all pages of them.
 *
 * @throws McpServerAway when the server cannot be reached, is late, refuses, or speaks another protocol. The message names neither the
 *   server nor its address. The signal's reason, when it aborts
 */
export async function listTools(server: ListedServer, options: ListOptions): Promise<Listing> {
  const { timeoutMs, signal, fetch = globalThis.fetch } = options;
  signal.throwIfAborted();
  const limit = timeLimit(timeoutMs, signal);
  let connection: McpConnection | undefined;
  try {
    connection = await McpConnection.open(server, fetch, limit.signal);
    return siftTools(connection.hasTools ? await allPages(connection, limit.signal) : [], server.allow);
  } catch (error) {
    if (limit.late) throw late(false);
    if (error instanceof McpRefusal)
      throw new McpServerAway(`The server answered with the error ${error.code} instead of its tools.`);
    if (error instanceof McpWish) throw new McpServerAway(error.message);
    throw error;
  } finally {
    limit.release();
    connection?.close();
  }
}

async function allPages(connection: McpConnection, signal: AbortSignal): Promise<unknown[]> {
  const tools: unknown[] = [];
  const exchange = new Exchange(LARGEST_LISTING, (result: RawResult) => {
    if (!Array.isArray(result['tools'])) return result;
    for (const tool of result['tools'] as unknown[]) tools.push(tool);
    return { ...result, tools: [] };
  });
  const cursors = new Set<string>();
  let cursor: string | undefined;
  do {
    cursor = await connection.page(cursor, exchange, signal);
    if (cursor === undefined) return tools;
    if (cursors.has(cursor)) throw new McpServerAway('The server’s pages of tools repeat themselves.');
    cursors.add(cursor);
  } while (cursors.size < MOST_PAGES);
  throw new McpServerAway(`The server’s tools have more than ${MOST_PAGES} pages.`);
}
