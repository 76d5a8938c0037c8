import { isObject } from '../is-object.js';
import type { MessagesRequest } from '../messages-request.js';
import type { ScriptBlock } from '../script-blocks.js';
import { type AskedCall, readCommand } from './command.js';
import { madeUpInput, wrongInput } from './made-up-input.js';
import { type OfferedTool, offeredTools } from './offered.js';
import { type Progress, progressOf } from './progress.js';
import { serverResult } from './server-tools.js';
import { announcement, excuse, report, toolList } from './tool-texts.js';

/** The stand-in's answer to a request about tools. */
export interface Move {
  readonly blocks: readonly ScriptBlock[];
  readonly stopReason: 'end_turn' | 'max_tokens' | 'pause_turn' | 'tool_use';
}

type Tools = ReadonlyMap<string, OfferedTool>;
type Choice = Readonly<Record<string, unknown>>;

/** The calls of one answer: first those that the API runs, then those that the client runs. */
interface Calls {
  readonly server: readonly AskedCall[];
  readonly client: readonly AskedCall[];
}

/**
 * What the stand-in does with the tools of a request: it makes the calls that the user asked for and that are not made yet, or writes a
 * text about tools. It derives this from the request alone. Undefined: the answer has nothing to do with tools.
 */
export function toolMove(request: MessagesRequest): Move | undefined {
  const progress = progressOf(request.messages);
  // Real models take text behind results for the end of their turn.
  if (progress.talkedOver) return { blocks: [], stopReason: 'end_turn' };
  const tools = offeredTools(request.tools);
  const choice = isObject(request.tool_choice) ? request.tool_choice : {};
  const command = readCommand(progress.asked, new Set(tools.keys()));
  const steps = command?.type === 'calls' ? command.steps : [];
  const calls = callsOf(steps, tools, choice, progress.steps);
  const made = blocksOfCalls(calls, tools, progress, isForced(choice));
  if (made.stopReason !== 'end_turn') return made;
  const text = textOf();
  return text === undefined ? undefined : { ...made, blocks: [...made.blocks, { type: 'text', text }] };

  function textOf(): string | undefined {
    const served = choice['type'] === 'none' ? [] : servedIn(steps, tools);
    if (progress.outcomes.length > 0 || served.length > 0) return report(progress.outcomes, served);
    if (command?.type === 'list') return toolList(tools);
    if (command === undefined || tools.size === 0) return undefined;
    return excuse(command.type === 'fault' ? command.reason : 'I must not use tools now.', tools);
  }
}

function isForced({ type }: Choice): boolean {
  return type === 'any' || type === 'tool';
}

/** The calls of the next answer: the steps up to and including the first with calls for the client, behind those that came back. */
function callsOf(steps: readonly (readonly AskedCall[])[], tools: Tools, choice: Choice, done: number): Calls {
  if (choice['type'] === 'none') return { server: [], client: [] };
  const oneByOne = choice['disable_parallel_tool_use'] === true;
  let passed = 0;
  let server: AskedCall[] = [];
  for (const step of oneByOne ? steps.flat().map((call) => [call]) : steps) {
    const client = step.filter(({ name }) => !isServer(name, tools));
    server.push(...step.filter(({ name }) => isServer(name, tools)));
    if (client.length === 0) continue;
    if (passed === done) return { server, client };
    passed += 1;
    server = [];
  }
  const forced = typeof choice['name'] === 'string' ? choice['name'] : [...tools.keys()][0];
  if (!isForced(choice) || forced === undefined) return { server, client: [] };
  return { server, client: [{ name: forced, input: undefined, manner: undefined }] };
}

/** The blocks of these calls. `end_turn`: there is no call that the client must run. */
function blocksOfCalls({ server, client }: Calls, tools: Tools, progress: Progress, forced: boolean): Move {
  const blocks: ScriptBlock[] = [];
  const served = progress.paused.filter(({ type }) => type === 'server_tool_use');
  const open = served.at(-1);
  const answered = progress.paused.some(({ tool_use_id: of }) => of !== undefined && of === open?.['id']);
  if (open !== undefined && !answered && server.length > 0) {
    blocks.push(...serverResult(String(open['name']), String(open['id']), open['input']));
  }
  const names = [...server, ...client].map(({ name }) => name);
  const first = progress.steps === 0 && progress.paused.length === 0;
  if (first && names.length > 0 && !forced) blocks.push({ type: 'text', text: announcement(names) });
  for (const call of server.slice(served.length)) {
    const input = inputOf(call, tools);
    blocks.push({ type: 'server_tool_use', name: call.name, input });
    if (call.manner === 'with a pause') return { blocks, stopReason: 'pause_turn' };
    blocks.push(...serverResult(call.name, undefined, input));
  }
  for (const call of client) {
    const input = inputOf(call, tools);
    if (call.manner === 'cut off') {
      const json = JSON.stringify(input);
      const half = json.slice(0, Math.max(1, json.length >> 1));
      blocks.push({ type: 'tool_use', name: call.name, input: {}, fragments: ['', half] });
      return { blocks, stopReason: 'max_tokens' };
    }
    blocks.push({ type: 'tool_use', name: call.name, input });
  }
  return { blocks, stopReason: client.length > 0 ? 'tool_use' : 'end_turn' };
}

function inputOf({ name, input, manner }: AskedCall, tools: Tools): Record<string, unknown> {
  const tool = tools.get(name);
  if (input !== undefined) return input;
  if (tool?.server === true) return name === 'web_fetch' ? { url: 'https://example.com/' } : { query: 'an example' };
  const schema = tool?.schema ?? {};
  return manner === 'with wrong input' ? wrongInput(schema) : madeUpInput(schema);
}

function isServer(name: string, tools: Tools): boolean {
  return tools.get(name)?.server === true;
}

function servedIn(steps: readonly (readonly AskedCall[])[], tools: Tools): string[] {
  return steps.flat().flatMap(({ name }) => (isServer(name, tools) ? [name] : []));
}
