import { setImmediate as turn } from 'node:timers/promises';
import type { Listing, LeftOut, ListedTool } from '#mcp/sift-tools.js';
import { inBrief } from '#process/described-error.js';
import { within } from '#process/within.js';
import { resolveHeader, resolveUrl } from '#settings/named-variables.js';
import type { McpServer } from './check-mcp-servers.js';
import { compilerFault, inputSchemaFault } from './schema-fault.js';

/** Longest time of a listing, in milliseconds: the start of the process waits for it. */
const LONGEST_LISTING_MS = 5_000;

/** How much longer the start waits for a listing that does not end when it is told to, in milliseconds. */
const GRACE_MS = 500;

/** A server's tools, or why there are none. */
export type Answer = Listing | { readonly away: string };

/** Asks servers for their tools, all at once. It takes 5 s at most, and never rejects. */
export async function listServers(
  servers: readonly McpServer[],
  signal: AbortSignal,
): Promise<ReadonlyMap<McpServer, Answer>> {
  const answers = servers.map(async (server) => {
    const late = { away: 'The server did not answer in time.' };
    const answer = ask(server, signal).catch((error: unknown) => ({ away: inBrief(error) }));
    return [server, await within<Answer>(LONGEST_LISTING_MS + GRACE_MS, answer, late)] as const;
  });
  return new Map(await Promise.all(answers));
}

async function ask(server: McpServer, signal: AbortSignal): Promise<Listing> {
  // Only processes with servers load the client of the protocol.
  const { listTools } = await import('#mcp/list-tools.js');
  const { name, allow } = server;
  const headers = Object.entries(server.headers).map(([header, value]) => [header, resolveHeader(value)] as const);
  const listing = await listTools(
    { name, ...(allow && { allow }), url: resolveUrl(server.url).href, headers: Object.fromEntries(headers) },
    { timeoutMs: LONGEST_LISTING_MS, signal },
  );
  return usable(listing);
}

/** Leaves out the tools that the model's API would refuse: with one of them it refuses all requests of an assistant. */
async function usable({ tools, leftOut }: Listing): Promise<Listing> {
  const kept: ListedTool[] = [];
  const faulty: LeftOut[] = [];
  for (const tool of tools) {
    // Compiling hundreds of large schemas at one go would keep requests waiting.
    await turn();
    const fault = inputSchemaFault(tool.inputSchema) ?? (await compilerFault(tool.inputSchema));
    if (fault === undefined) kept.push(tool);
    else faulty.push({ name: tool.name, reason: `its schema ${fault}` });
  }
  return { tools: kept, leftOut: [...leftOut, ...faulty] };
}
