import { setImmediate as immediate } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { HttpTool, McpTool } from '#database/entities/tool.js';
import type { StepCall } from '#jobs/steps.js';
import { awaitsPerson, finishCall, startCalls, waitForPerson } from '#jobs/tool-calls.js';
import { logLine } from '#process/log-line.js';
import type { ToolResult } from '../tools/tool-result.js';
import { ToolRunners } from '../tools/tool-runners.js';
import type { Attempt } from './attempt.js';
import { written } from './written.js';

const UNKNOWN_OUTCOME =
  'The outcome is unknown: the service was interrupted while this tool ran. The call may have taken effect. It was not made again.';
const NO_TOOL = 'The tool is not available.';
const NO_ROOM = {
  result: 'The tool was called, but its result is left out: the results of this turn are too long together.',
  isError: true,
};

/** The kinds of tools that a worker runs. */
type WorkersTool = HttpTool | McpTool;

/** Brings the tool calls of an attempt's last step to their results. */
@Injectable()
export class ToolCalls {
  private readonly logger = new Logger(ToolCalls.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly runners: ToolRunners,
  ) {}

  /**
   * Runs the calls that workers run, all at the same time, and stores each result as soon as it comes. A call that an earlier attempt had
   * begun runs again only if its tool may run twice.
   *
   * @returns false: a call waits for a person, and the attempt is over
   * @throws the reason for which the attempt was stopped
   */
  async settle(attempt: Attempt): Promise<boolean> {
    let calls = attempt.steps.at(-1)?.calls ?? [];
    for (;;) {
      const starter = new Starter(attempt, this.manager);
      const results = await allOf(calls.map((call) => this.settled(attempt, call, starter)));
      attempt.setCalls(results);
      if (!results.some(awaitsPerson)) return true;
      const { job, steps } = attempt;
      const seconds = job.actionSeconds;
      const now = await written(() =>
        waitForPerson(this.manager, job.id, job.attempt, { step: steps.length, seconds }),
      );
      if (now === undefined) throw lost(attempt);
      if (now.waits) return false;
      calls = now.calls;
    }
  }

  /** The call with its result, if a worker runs it. */
  private async settled(attempt: Attempt, call: StepCall, starter: Starter): Promise<StepCall> {
    if (call.result !== null || awaitsPerson(call)) return call;
    const { job } = attempt;
    const tool = job.tools.find(
      (each): each is WorkersTool => 'url' in each && each.run !== 'provider' && each.name === call.name,
    );
    if (tool === undefined) return this.finish(attempt, call, { content: NO_TOOL, isError: true });
    const begunBefore = call.status === 'running' && call.attempt !== job.attempt;
    if (begunBefore && !tool.repeatable) return this.finish(attempt, call, { content: UNKNOWN_OUTCOME, isError: true });
    const release = await this.runners.takeSlot(tool, attempt.signal);
    const begun = performance.now();
    try {
      if (!(await starter.start(call.id))) throw new Error('A tool call of a running attempt is gone.');
      const result = await attempt.meter.tool(tool.name, call.id, (traceparent) =>
        this.runners.run(
          tool,
          {
            callId: call.id,
            userId: job.userId,
            chatId: job.chatId,
            jobId: job.id,
            assistant: job.assistant,
            input: call.input,
            traceparent,
          },
          attempt.signal,
        ),
      );
      this.logger.log(
        logLine('a tool call has ended', {
          ...attempt.ids,
          tool: tool.name,
          tool_call_id: call.id,
          outcome: result.isError ? 'failed' : 'succeeded',
          ms: Math.round(performance.now() - begun),
        }),
      );
      return await this.finish(attempt, call, result);
    } finally {
      release();
    }
  }

  private async finish(attempt: Attempt, call: StepCall, { content, isError }: ToolResult): Promise<StepCall> {
    const { job } = attempt;
    const ended = attempt.takeResultBytes(Buffer.byteLength(content)) ? { result: content, isError } : NO_ROOM;
    const isOurs = await written(() => finishCall(this.manager, job.id, job.attempt, call.id, ended));
    if (!isOurs) throw lost(attempt);
    return { ...call, ...ended, status: ended.isError ? 'failed' : 'succeeded' };
  }
}

/** Begins calls. Those that begin at the same moment share a statement. */
class Starter {
  private waiting: string[] = [];
  private started: Promise<ReadonlySet<string>> | undefined;

  constructor(
    private readonly attempt: Attempt,
    private readonly manager: EntityManager,
  ) {}

  /** @returns whether the call may be sent @throws the reason for which the attempt was stopped */
  async start(callId: string): Promise<boolean> {
    this.waiting.push(callId);
    this.started ??= immediate().then(() => this.flush());
    return (await this.started).has(callId);
  }

  private async flush(): Promise<ReadonlySet<string>> {
    const ids = this.waiting;
    this.waiting = [];
    this.started = undefined;
    const { job, signal } = this.attempt;
    signal.throwIfAborted();
    const begun = await written(() => startCalls(this.manager, job.id, job.attempt, ids));
    if (begun === undefined) throw lost(this.attempt);
    signal.throwIfAborted();
    return begun;
  }
}

/** Stops an attempt whose job is another's. @returns the reason to throw */
function lost(attempt: Attempt): unknown {
  attempt.stop('lost');
  return attempt.signal.reason;
}

/** Waits for all, also after one has failed, so that no call outlives its attempt. @throws the first failure */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
