import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { UserTags } from '#database/user-tags.js';
import { logLine } from '#process/log-line.js';
import type { AdminJobsQuery } from '#contract/admin.dto.js';
import { isUnfinished, jobColumns } from '#database/columns.js';
import type { ChatStatus } from '#database/entities/chat.entity.js';
import type { JobStatus } from '#database/entities/job.entity.js';
import type { ModelCall } from '#database/entities/model-call.entity.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { isConflict } from '#jobs/accept.js';
import { concerns, readHolds } from '#jobs/holds.js';
import { versionOf } from '#jobs/definitions.js';
import { requeue } from '#jobs/requeue.js';
import { encodeCursor, readCursor } from '../http/cursor.js';
import { readPageStart, writePageStart } from '../http/page-start.js';
import { DueJobs } from '../jobs/due-jobs.js';
import { JobsService } from '../jobs/jobs.service.js';
import { RowQueues } from '../limits/row-queues.js';
import { unlessQuicker, writeOrRefuse } from '../limits/write-or-refuse.js';
import { type AdminJobRow, jobsList, listName } from './jobs-list.js';
import type { Surroundings } from './why.js';

const DEFAULT_PAGE = 50;

/** Most entries of the ledger that an answer shows: a job may have many attempts that cost nothing. */
const MOST_CALLS = 100;

export interface AdminJobsPage {
  readonly jobs: AdminJobRow[];
  readonly hasMore: boolean;
  readonly before: string | null;
  readonly after: string | null;
}

/** An entry of the ledger, without the fields that the job has. */
export type CallLine = Omit<ModelCall, 'jobId' | 'userId' | 'assistantSlug'>;

export interface AdminJob extends Surroundings {
  readonly job: AdminJobRow;
  /** Oldest first. */
  readonly calls: CallLine[];
}

const READ = `
  SELECT ${jobColumns('j')}, c.assistant_slug AS "assistantSlug", now() AS now,
         EXISTS (SELECT FROM dispatch WHERE paused) AS paused, a.model,
         array(SELECT t.name FROM tool_calls t WHERE t.job_id = j.id AND t.ended_at IS NULL AND t.status LIKE 'awaiting%' ORDER BY t.step, t.n) AS "waitingFor"
    FROM jobs j JOIN chats c ON c.id = j.chat_id
    JOIN assistant_versions a ON a.slug = c.assistant_slug AND a.version = ${versionOf('j', 'c')}
   WHERE j.id = $1 AND c.user_id IS NOT NULL`;

const CALLS = `
  SELECT attempt, step, purpose, model, outcome, error_code AS "errorCode", message_id AS "messageId", input_tokens AS "inputTokens",
         output_tokens AS "outputTokens", cache_read_tokens AS "cacheReadTokens", cache_write_5m_tokens AS "cacheWrite5mTokens",
         cache_write_1h_tokens AS "cacheWrite1hTokens", thinking_tokens AS "thinkingTokens", server_tools AS "serverTools", cost, estimated, first_text_ms AS "firstTextMs", started_at AS "startedAt", ended_at AS "endedAt"
    FROM model_calls WHERE job_id = $1 ORDER BY attempt DESC, step DESC LIMIT ${MOST_CALLS}`;

/** Reads the reasons for which a job may not be put back. */
const IN_THE_WAY = `
  SELECT j.status, c.status AS "chatStatus",
         (SELECT u.id FROM jobs u WHERE u.chat_id = c.id AND u.id <> j.id AND ${isUnfinished('u')}) AS "otherId",
         m.seq < c.last_seq AS "hasLaterMessage"
    FROM jobs j JOIN chats c ON c.id = j.chat_id JOIN messages m ON m.id = j.user_message_id
   WHERE j.id = $1 AND c.user_id IS NOT NULL`;

interface InTheWay {
  readonly status: JobStatus;
  readonly chatStatus: ChatStatus;
  readonly otherId: string | null;
  readonly hasLaterMessage: boolean;
}

/** All users' jobs, for operators, without messages. */
@Injectable()
export class AdminJobsService {
  private readonly logger = new Logger(AdminJobsService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly due: DueJobs,
    private readonly users: UserTags,
    private readonly rows: RowQueues,
    private readonly userJobs: JobsService,
  ) {}

  /** A page of the jobs that the query asks for. @throws ServiceError `validation_failed` */
  async list(query: AdminJobsQuery): Promise<AdminJobsPage> {
    const { limit = DEFAULT_PAGE, order = 'newest' } = query;
    const name = listName(query);
    const cursor = query.before ?? query.after;
    const later = cursor === undefined ? order === 'oldest' : query.after !== undefined;
    const from = readCursor(name, query, readPageStart);
    const list = jobsList(query, later, from, limit);
    const rows = await this.manager.query<AdminJobRow[]>(list.select, list.values);
    const full = rows.length > limit;
    const jobs = rows.slice(0, limit);
    const cursorOf = (row: { createdAt: Date; id: string } | undefined): string | null =>
      row ? encodeCursor(name, writePageStart(row.createdAt, row.id)) : null;
    // A page may have fewer jobs than wanted because the query stops after {@link MOST_READ} rows.
    const [lastRead] = full
      ? []
      : await this.manager.query<{ createdAt: Date; id: string }[]>(list.last, list.lastValues);
    const far = cursorOf(lastRead) ?? cursorOf(jobs.at(-1));
    const near = cursorOf(jobs[0]) ?? (cursor === undefined ? cursorOf(lastRead) : cursor);
    const hasMore = full || lastRead !== undefined;
    if (later !== (order === 'oldest')) jobs.reverse();
    return {
      jobs,
      hasMore,
      before: later ? near : hasMore ? far : null,
      // Newer jobs may follow later, so an empty page returns its cursor.
      after: later ? (far ?? query.after ?? null) : near,
    };
  }

  /** A job with everything that explains its state. @throws ServiceError `not_found` */
  async get(jobId: string): Promise<AdminJob> {
    const [row] = await this.manager.query<(AdminJobRow & Surroundings & { model: string })[]>(READ, [jobId]);
    if (row === undefined) throw notFound('job');
    const { now, paused, model, waitingFor, ...job } = row;
    const calls = await this.manager.query<CallLine[]>(CALLS, [jobId]);
    const holds = await readHolds(this.manager);
    const hold = holds.find(({ scope }) => concerns(scope, { model, assistant: job.assistantSlug }));
    return { job, now, paused, hold, waitingFor: waitingFor ?? [], calls: calls.reverse() };
  }

  /**
   * Puts a failed job back, for the operator `userId`.
   * @throws ServiceError `not_found`, `invalid_transition` (it has not failed, or its chat has a later message), `chat_not_active`,
   * `turn_in_progress`
   */
  async requeue(jobId: string, userId: string): Promise<AdminJob> {
    const attempts = await writeOrRefuse({
      write: () => unlessQuicker(isConflict, () => this.rows.run({ job: jobId }, () => requeue(this.manager, jobId))),
      obstacle: () => this.refusal(jobId),
      givenUp: () => new ServiceError('turn_in_progress', 'The chat has a turn in progress.'),
    });
    this.logger.warn(logLine('an operator put the job back', { job_id: jobId, operator: this.users.tagOf(userId) }));
    this.due.add(jobId, attempts + 1);
    return this.get(jobId);
  }

  /**
   * Cancels a job for the operator `operatorId`, in the same way as for its user.
   * @throws ServiceError `not_found`, `invalid_transition` (it ended otherwise before)
   */
  async cancel(jobId: string, operatorId: string): Promise<AdminJob> {
    const { job } = await this.get(jobId);
    await this.userJobs.cancel(job.userId, jobId);
    if (job.status !== 'canceled') {
      this.logger.warn(
        logLine('an operator canceled the job', { job_id: jobId, operator: this.users.tagOf(operatorId) }),
      );
    }
    return this.get(jobId);
  }

  private async refusal(jobId: string): Promise<ServiceError | undefined> {
    const [found] = await this.manager.query<InTheWay[]>(IN_THE_WAY, [jobId]);
    if (found === undefined) return notFound('job');
    const { status, chatStatus, otherId, hasLaterMessage } = found;
    if (status !== 'failed') {
      const message = `The job is ${status}; only one that failed can be put back.`;
      return new ServiceError('invalid_transition', message, { jobId });
    }
    if (chatStatus !== 'active') return new ServiceError('chat_not_active', `The chat is ${chatStatus}.`);
    if (otherId !== null) {
      return new ServiceError('turn_in_progress', 'The chat has a turn in progress.', { jobId: otherId });
    }
    if (!hasLaterMessage) return undefined;
    const message = 'The chat has a newer message, so the reply would come in the wrong place.';
    return new ServiceError('invalid_transition', message, { jobId });
  }
}
