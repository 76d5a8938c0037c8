import type { McpTool } from '#database/entities/tool.js';
import { textFault } from '#contract/text.js';
import { checkRequest, REQUEST_FIELDS } from './check-request.js';
import { checkBounds } from './check-tools.js';
import type { Checking } from './checking.js';
import { Fields } from './fields.js';

/** A server of the Model Context Protocol, as the file defines it, with all defaults. */
export interface McpServer extends Pick<
  McpTool,
  'url' | 'headers' | 'approval' | 'repeatable' | 'timeout_seconds' | 'result_max_bytes'
> {
  readonly name: string;
  /** The tools that are wanted, by their names on the server; left out: all. */
  readonly allow?: readonly string[];
}

const NAME = /^[a-zA-Z0-9_-]{1,32}$/;
const MOST_SERVERS = 32;
const MOST_ALLOWED = 200;
const LONGEST_TOOL_NAME = 128;

const KNOWN = [...REQUEST_FIELDS, 'allow', 'approval', 'repeatable', 'result_max_bytes'];

/** Checks the servers at the top of the file. They mean nothing if there are faults. */
export function checkMcpServers(file: Fields, checking: Checking): Map<string, McpServer> {
  const servers = new Map<string, McpServer>();
  if (!file.has('mcp_servers')) return servers;
  const path = [...file.path, 'mcp_servers'];
  const byName = Fields.of(file.values['mcp_servers'], path, checking.faults);
  const entries = Object.entries(byName?.values ?? {});
  if (entries.length > MOST_SERVERS) checking.faults.add(path, `must have at most ${MOST_SERVERS} servers`);
  for (const [name, entry] of entries) {
    if (!NAME.test(name)) {
      byName?.fault(name, 'must have a name of 1 to 32 letters (a-z), digits, dashes and underscores');
    }
    const fields = Fields.of(entry, [...path, name], checking.faults);
    if (fields !== undefined) servers.set(name, checkServer(name, fields, checking));
  }
  return servers;
}

function checkServer(name: string, fields: Fields, checking: Checking): McpServer {
  fields.only(KNOWN);
  return {
    name,
    ...checkRequest(fields, checking),
    ...checkBounds(fields),
    repeatable: fields.flag('repeatable', false),
    ...(fields.has('allow') && { allow: checkAllow(fields) }),
  };
}

function checkAllow(fields: Fields): string[] {
  const names = fields.list('allow', MOST_ALLOWED);
  names.forEach((name, n) => {
    const fault = textFault(name, 1, LONGEST_TOOL_NAME) ?? (names.indexOf(name) < n ? 'is there twice' : undefined);
    if (fault !== undefined) fields.faults.add([...fields.path, 'allow', n], fault);
  });
  return names as string[];
}
