import type { McpAddress } from '#mcp/connection.js';
import type { McpTool } from '#database/entities/tool.js';
import { resolveHeader, resolveUrl, VariableFault } from '#settings/named-variables.js';

/** The address and the headers behind `env:NAME` in a tool's definition. `missing` names the variable that has no usable value. */
export function namedAddress(tool: McpTool): McpAddress | { readonly missing: string } {
  try {
    const headers = Object.entries(tool.headers).map(([name, value]) => [name, resolveHeader(value)] as const);
    return { url: resolveUrl(tool.url).href, headers: Object.fromEntries(headers) };
  } catch (error) {
    if (error instanceof VariableFault) return { missing: error.variable };
    throw error;
  }
}
