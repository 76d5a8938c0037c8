import type { McpTool, Tool } from '#database/entities/tool.js';
import type { ListedTool } from '#mcp/sift-tools.js';
import { offeredName } from '#mcp/offered-name.js';
import type { AssistantDefinition } from './check-assistant.js';
import type { McpServer } from './check-mcp-servers.js';
import { MOST_TOOLS } from './check-tools.js';

/** The tools that servers have listed, by the servers' names. A server that is away is missing. */
export type Listings = ReadonlyMap<string, readonly ListedTool[]>;

/** A tool of a server that an assistant does not get. */
export interface Unpinned {
  readonly server: string;
  readonly tool: string;
  readonly reason: string;
}

/**
 * All tools of an assistant: those of the file, then those of its MCP servers in the order of their names. Equal listings give equal
 * results.
 *
 * @param stored the tools of the assistant's current definition. They stand in for the listing of a server that is away, unless the server
 *   has another address by now
 */
export function pinTools(
  { tools, mcp_servers }: AssistantDefinition,
  servers: ReadonlyMap<string, McpServer>,
  listings: Listings,
  stored: readonly Tool[],
): { readonly tools: Tool[]; readonly unpinned: Unpinned[] } {
  const found = mcp_servers.flatMap((name) => {
    const server = servers.get(name);
    if (server === undefined) return [];
    return (listings.get(name) ?? listedBefore(server, stored)).map((tool) => mcpTool(server, tool));
  });
  const pinned: Tool[] = [...tools];
  const unpinned: Unpinned[] = [];
  const names = new Set(pinned.map(({ name }) => name));
  for (const tool of found.sort(inOrder)) {
    const leaveOut = (reason: string): number => unpinned.push({ server: tool.server, tool: tool.tool, reason });
    if (names.has(tool.name)) leaveOut(`another tool of the assistant has the name ${tool.name}`);
    else if (pinned.length === MOST_TOOLS) leaveOut(`the assistant has ${MOST_TOOLS} tools already`);
    else pinned.push(tool);
    names.add(tool.name);
  }
  return { tools: pinned, unpinned };
}

/** Whether each of these tools of MCP servers is as this file would store it, if the servers list it. */
export function arePinnedBy(
  { mcp_servers }: AssistantDefinition,
  servers: ReadonlyMap<string, McpServer>,
  tools: readonly Tool[],
): boolean {
  return tools.every((tool) => {
    if (tool.run !== 'mcp') return true;
    const server = servers.get(tool.server);
    if (server === undefined || !mcp_servers.includes(tool.server) || !isAllowed(server, tool.tool)) return false;
    const { url, approval, repeatable, timeout_seconds, result_max_bytes } = server;
    return (
      tool.url === url &&
      tool.approval === approval &&
      tool.repeatable === repeatable &&
      tool.timeout_seconds === timeout_seconds &&
      tool.result_max_bytes === result_max_bytes &&
      sameHeaders(tool.headers, server.headers)
    );
  });
}

function listedBefore(server: McpServer, stored: readonly Tool[]): ListedTool[] {
  return stored
    .filter((tool): tool is McpTool => tool.run === 'mcp' && tool.server === server.name && tool.url === server.url)
    .filter(({ tool }) => isAllowed(server, tool))
    .map(({ tool, description, input_schema }) => ({ name: tool, description, inputSchema: input_schema }));
}

function isAllowed({ allow }: McpServer, tool: string): boolean {
  return allow === undefined || allow.includes(tool);
}

function mcpTool(server: McpServer, { name, description, inputSchema }: ListedTool): McpTool {
  const { allow: _, name: serverName, ...settings } = server;
  return {
    run: 'mcp',
    ...settings,
    server: serverName,
    tool: name,
    name: offeredName(serverName, name),
    description,
    input_schema: inputSchema,
  };
}

/** Sorts tools by name. Tools with one name are sorted by server and tool, so that the same one is chosen each time. */
function inOrder(a: McpTool, b: McpTool): number {
  return compare(a.name, b.name) || compare(a.server, b.server) || compare(a.tool, b.tool);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sameHeaders(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
