import { APPROVALS, type ClientTool, type HttpTool, type Tool } from '#database/entities/tool.js';
import { checkProviderTool } from './check-provider-tool.js';
import { checkRequest, REQUEST_FIELDS } from './check-request.js';
import { checkSchema } from './check-schema.js';
import type { Checking } from './checking.js';
import { Fields } from './fields.js';
import { inputSchemaFault } from './schema-fault.js';

/** The most tools that an assistant can have. */
export const MOST_TOOLS = 128;

/** A tool's name for the model. */
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const LONGEST_DESCRIPTION = 4_000;

/** Longest result that the model gets, in bytes. */
const SMALLEST_RESULT = 1_024;
const LARGEST_RESULT = 1_048_576;
const DEFAULT_RESULT = 65_536;

/** How the file says that a tool runs. Tools of MCP servers come from the server's list. */
const RUNS = ['http', 'client', 'provider'] as const;

const NAMED_FIELDS = ['run', 'name', 'description', 'input_schema', 'approval', 'result_max_bytes'];

/** The fields that tools and MCP servers share. */
export function checkBounds(fields: Fields): Pick<HttpTool, 'approval' | 'result_max_bytes'> {
  return {
    approval: fields.choice('approval', APPROVALS, 'never'),
    result_max_bytes: fields.integer('result_max_bytes', SMALLEST_RESULT, LARGEST_RESULT, DEFAULT_RESULT),
  };
}

/** Checks the tools of an assistant. The tools are as they are stored, with all defaults. They mean nothing if there are faults. */
export function checkTools(assistant: Fields, checking: Checking): Tool[] {
  const names = new Set<string>();
  const tools: Tool[] = [];
  assistant.list('tools', MOST_TOOLS).forEach((entry, n) => {
    const fields = Fields.of(entry, [...assistant.path, 'tools', n], checking.faults);
    if (fields === undefined) return;
    const tool = checkTool(fields, checking);
    if (tool === undefined) return;
    if (names.has(tool.name)) fields.fault('name', 'is the name of another tool of this assistant');
    names.add(tool.name);
    tools.push(tool);
  });
  return tools;
}

function checkTool(fields: Fields, checking: Checking): Tool | undefined {
  switch (fields.choice('run', RUNS)) {
    case 'provider':
      return checkProviderTool(fields);
    case 'http': {
      fields.only([...NAMED_FIELDS, ...REQUEST_FIELDS, 'repeatable']);
      const repeatable = fields.flag('repeatable', false);
      return { run: 'http', ...checkNamed(fields, checking), repeatable, ...checkRequest(fields, checking) };
    }
    case 'client': {
      fields.only([...NAMED_FIELDS, 'result_schema']);
      const named = checkNamed(fields, checking);
      if (!fields.has('result_schema')) return { run: 'client', ...named };
      return { run: 'client', ...named, result_schema: checkSchema(fields, 'result_schema', checking) };
    }
    default:
      return undefined;
  }
}

function checkNamed(fields: Fields, checking: Checking): Omit<ClientTool, 'run' | 'result_schema'> {
  const { name } = fields.values;
  if (typeof name !== 'string' || !NAME.test(name)) {
    fields.fault('name', 'must have 1 to 64 letters (a-z), digits, dashes and underscores');
  }
  const description = fields.text('description', LONGEST_DESCRIPTION);
  const input_schema = checkSchema(fields, 'input_schema', checking, inputSchemaFault);
  return { name: name as string, description, input_schema, ...checkBounds(fields) };
}
