import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { OwnTool, Tool } from '#database/entities/tool.js';
import { UserTags } from '#database/user-tags.js';
import { invalidField, notFound, ServiceError } from '#errors/service-error.js';
import { type Checked, decide, type Said } from '#jobs/decisions.js';
import { readJob } from '#jobs/read.js';
import { MOST_RESULT_BYTES } from '#jobs/timings.js';
import { readToolCalls, type ToolCallRow } from '#jobs/tool-calls.js';
import { logLine } from '#process/log-line.js';
import { RowQueues } from '../limits/row-queues.js';
import { DueJobs } from './due-jobs.js';

/** Longest result that a front-end may give, if its tool allows no more, in bytes. */
const LONGEST_RESULT = 64 * 1024;

/** The tools of the definition that answers a job, and the bytes of the results so far. */
const TOOLS = `
  SELECT a.definition -> 'tools' AS tools,
         (SELECT coalesce(sum(octet_length(t.result)), 0) FROM tool_calls t WHERE t.job_id = j.id)::int AS bytes FROM jobs j JOIN chats c ON c.id = j.chat_id
    JOIN assistant_versions a ON a.slug = c.assistant_slug AND a.version = j.assistant_version WHERE j.id = $1`;

/** A person and what they may decide: their own calls, or as an operator everybody's. */
export interface Decider {
  /** The `sub` of the person's token. */
  readonly by: string;
  readonly isOperator: boolean;
}

/** The tool calls of jobs, and what persons say about them. */
@Injectable()
export class ToolCallsService {
  private readonly logger = new Logger(ToolCallsService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly due: DueJobs,
    private readonly rows: RowQueues,
    private readonly users: UserTags,
  ) {}

  /** The tool calls of a job of the caller's. @throws ServiceError `not_found` */
  async list(userId: string, jobId: string): Promise<ToolCallRow[]> {
    if ((await readJob(this.manager, jobId, userId)) === undefined) throw notFound('job');
    return readToolCalls(this.manager, jobId);
  }

  /**
   * Writes what a person says about a tool call. Once no call of the job waits any more, the job is due.
   * @throws ServiceError `not_found`, `tool_call_decided`, `validation_failed` (the result does not match the tool's schema)
   */
  async decide(jobId: string, callId: string, { by, isOperator }: Decider, said: Said): Promise<ToolCallRow> {
    const decided = await this.rows.run({ job: jobId }, () =>
      decide(this.manager, { jobId, callId, userId: isOperator ? null : by, by, said }, (manager, call) =>
        check(manager, call, said),
      ),
    );
    if (decided === undefined) throw notFound('tool call');
    const { call, refused, dueAttempt } = decided;
    if (refused) throw new ServiceError('tool_call_decided', refusal(call), { jobId });
    if (isOperator) {
      const fields = { job_id: jobId, tool_call_id: callId, operator: this.users.tagOf(by) };
      this.logger.warn(logLine('an operator decided a tool call', fields));
    }
    if (dueAttempt !== undefined) this.due.add(jobId, dueAttempt);
    return call;
  }
}

/** Finds the call's tool, and checks a result by its schema. */
async function check(manager: EntityManager, call: ToolCallRow, said: Said): Promise<Checked> {
  const [row] = await manager.query<{ tools: readonly Tool[] | null; bytes: number }[]>(TOOLS, [call.jobId]);
  const tool = row?.tools?.find((each): each is OwnTool => each.run !== 'provider' && each.name === call.name);
  if (!('result' in said)) return { awaitsResult: tool?.run === 'client' };
  const most = Math.min(tool?.result_max_bytes ?? LONGEST_RESULT, Math.max(0, MOST_RESULT_BYTES - (row?.bytes ?? 0)));
  if (Buffer.byteLength(said.result) > most) throw invalidField('result.content', `must have at most ${most} bytes`);
  if (call.resultSchema !== null && !said.isError) {
    const { checkBy } = await import('#tools/json-schema.js');
    const fault = checkBy(call.resultSchema)(said.value);
    if (fault !== undefined) throw invalidField('result.content', `does not match the tool's schema: ${fault}`);
  }
  return { awaitsResult: false };
}

function refusal({ status }: ToolCallRow): string {
  switch (status) {
    case 'awaiting_approval':
      return 'The tool call awaits an approval, not a result.';
    case 'awaiting_result':
      return 'The tool call awaits a result, not an approval.';
    case 'queued':
    case 'running':
      return 'The tool call is under way.';
    default:
      return `The tool call is ${status}.`;
  }
}
