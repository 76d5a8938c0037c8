import { setTimeout as sleep } from 'node:timers/promises';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { McpTool } from '#database/entities/tool.js';
import type { McpAddress, McpResult } from '#mcp/connection.js';
import { type Keeping, McpConnections } from '#mcp/connections.js';
import { resultText } from '#mcp/result-text.js';
import { McpRefusal, McpServerAway, McpWish } from '#mcp/server-away.js';
import { timeLimit } from '#process/time-limit.js';
import type { ToolCallRequest, ToolRunner } from './tool-call.js';
import { boundedResult, type ToolResult } from './tool-result.js';

/** Waits before a repeatable tool runs again, in milliseconds. */
const WAITS_MS = [500, 2_000];

/** The room to read an answer beyond what the model gets: JSON escapes, and the fields around the text. */
const READ_TIMES = 4;
const READ_MORE = 64 * 1024;

/**
 * The key of a call's id in `_meta`, by which a server can recognise a call that comes again. The prefix keeps it apart from the
 * protocol's own keys.
 */
const CALL_ID = 'rejoinder/call-id';

/** Finds the values that stand behind `env:NAME` in a tool's address and headers. `missing` names the variable that is not set. */
export type Resolve = (tool: McpTool) => McpAddress | { readonly missing: string };

/** Runs tools of MCP servers. */
export class McpTools implements ToolRunner<McpTool>, OnApplicationShutdown {
  readonly #connections: McpConnections;

  /** @param keeping how connections are kept, and the `fetch` of their requests */
  constructor(
    private readonly resolve: Resolve,
    keeping: Partial<Keeping> = {},
  ) {
    this.#connections = new McpConnections(keeping);
  }

  /**
   * Calls the tool on its server. Every fault of the server or the tool is a result that the model can read.
   *
   * @throws the signal's reason, as soon as it aborts; a server that is working on the call is told, and not waited for
   */
  async run(tool: McpTool, request: ToolCallRequest, signal: AbortSignal): Promise<ToolResult> {
    signal.throwIfAborted();
    const failed = (text: string): ToolResult => boundedResult(text, true, tool.result_max_bytes);
    const address = this.resolve(tool);
    if ('missing' in address) return failed(`The tool is not set up: ${address.missing} is not set.`);
    const limit = timeLimit(tool.timeout_seconds * 1_000, signal);
    try {
      const { result, mayHaveRun } = await this.#inTime(tool, address, request, limit.signal);
      signal.throwIfAborted();
      if ('fault' in result) return failed(words(result.fault, mayHaveRun));
      const text = resultText(result);
      const wish = result.isError && result.asked !== undefined ? `\n${new McpWish(result.asked).message}` : '';
      return boundedResult(text + wish, result.isError, tool.result_max_bytes);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw error;
    } finally {
      limit.release();
    }
  }

  onApplicationShutdown(): void {
    this.#connections.close();
  }

  /** Tries until there is a result, a fault that stays, or no time. `mayHaveRun` is about all tries. */
  async #inTime(
    tool: McpTool,
    address: McpAddress,
    request: ToolCallRequest,
    signal: AbortSignal,
  ): Promise<{ result: McpResult | { fault: Fault }; mayHaveRun: boolean }> {
    let mayHaveRun = false;
    for (let tries = 0; ; tries++) {
      try {
        return { result: await this.#call(tool, address, request, signal), mayHaveRun };
      } catch (error) {
        const fault = asFault(error, signal);
        if (fault === undefined) throw error;
        if (fault instanceof McpServerAway) mayHaveRun ||= fault.mayHaveRun;
        const wait = tool.repeatable && fault instanceof McpServerAway && fault.temporary ? WAITS_MS[tries] : undefined;
        if (wait === undefined || !(await waited(wait, signal))) return { result: { fault }, mayHaveRun };
      }
    }
  }

  #call(tool: McpTool, address: McpAddress, request: ToolCallRequest, signal: AbortSignal): Promise<McpResult> {
    const { callId, input, traceparent } = request;
    const meta = { [CALL_ID]: callId, ...(traceparent && { traceparent }) };
    const maxBytes = READ_TIMES * tool.result_max_bytes + READ_MORE;
    return this.#connections.use(address, signal, (connection) =>
      connection.call(
        {
          name: tool.tool,
          inputSchema: tool.input_schema,
          input: input as Readonly<Record<string, unknown>>,
          meta,
          maxBytes,
        },
        signal,
      ),
    );
  }
}

type Fault = McpServerAway | McpRefusal | McpWish;

/** The error as a fault of the server; undefined: it is ours, or the caller's. */
function asFault(error: unknown, { aborted, reason }: AbortSignal): Fault | undefined {
  if (error instanceof McpServerAway || error instanceof McpRefusal || error instanceof McpWish) return error;
  // The time was over before there was a connection.
  if (aborted && error === reason && (reason as { name?: unknown } | undefined)?.name === 'TimeoutError')
    return new McpServerAway('The server did not answer in time.');
  return undefined;
}

function words(fault: Fault, mayHaveRun: boolean): string {
  if (fault instanceof McpRefusal) return `The server answered with an error (${fault.code}): ${fault.message}`;
  if (fault instanceof McpWish) return fault.message;
  return mayHaveRun
    ? `${fault.message} It is not known whether the tool ran.`
    : `${fault.message} The tool did not run.`;
}

/** Waits. False: the signal ended the wait. */
async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
