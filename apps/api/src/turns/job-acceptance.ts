import { Injectable, Logger } from '@nestjs/common';
import type { RequestKey } from '#database/request-key.js';
import { ServiceError } from '#errors/service-error.js';
import { type AcceptedReply, isConflict } from '#jobs/accept.js';
import { BudgetExhausted } from '#limits/budgets.js';
import { logLine } from '#process/log-line.js';
import { type Span, traceparentOf } from '#telemetry/traces.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { DueJobs } from '../jobs/due-jobs.js';
import { Capacity } from '../limits/capacity.js';
import { Limits } from '../limits/limits.js';
import { RowQueues } from '../limits/row-queues.js';
import { refusalOf, unlessQuicker, writeOrRefuse } from '../limits/write-or-refuse.js';
import { acceptingSpan } from './accepting-span.js';

/** The request that a job comes from. */
export interface JobOrigin {
  readonly userId: string;
  readonly chatId: string;
  readonly requestId: string;
  /** The request's trace context. */
  readonly span: Span | undefined;
  /** The request's `Idempotency-Key`. */
  readonly requestKey: RequestKey | undefined;
}

/** The parts that differ between a turn and a request for a reply. */
export interface JobKind<Accepted> {
  /** The words of its log line. */
  readonly words: string;
  /** The statement that stores the job. `traceparent` goes with it. @returns undefined when an obstacle was in the way */
  readonly accept: (traceparent: string | null) => Promise<Accepted | undefined>;
  /** Reads the obstacle, and returns or throws it. */
  readonly refusal: () => Promise<ServiceError | undefined>;
  /** The answer to an earlier request with the same key, whose job this is. */
  readonly earlier: (jobId: string) => Promise<Accepted>;
}

/** Accepts jobs: once for each key, within the service's capacity, and with a ticket. */
@Injectable()
export class JobAcceptance {
  private readonly logger = new Logger(JobAcceptance.name);

  constructor(
    private readonly due: DueJobs,
    private readonly kept: KeptRequests,
    private readonly capacity: Capacity,
    private readonly rows: RowQueues,
    private readonly limits: Limits,
  ) {}

  /**
   * Accepts the job and makes a ticket if necessary, or finds the job that was accepted for the same key.
   * @throws ServiceError what `refusal` finds, `turn_in_progress`, `idempotency_key_reused`, `budget_exhausted`, `unavailable`
   */
  async accept<Accepted extends AcceptedReply>(
    { userId, chatId, requestId, span, requestKey }: JobOrigin,
    jobId: string,
    kind: JobKind<Accepted>,
  ): Promise<Accepted & { readonly replayed: boolean }> {
    const accepting = acceptingSpan(span, jobId);
    const traceparent = traceparentOf(accepting);
    // What stands in the way besides the chat, its user's limits and the key.
    let full: ServiceError | undefined;
    return writeOrRefuse<Accepted & { readonly replayed: boolean }>({
      write: async () => {
        full = await this.capacity.refusal();
        if (full !== undefined) return undefined;
        const write = (): Promise<Accepted | undefined> => kind.accept(traceparent);
        const accepted = await unlessQuicker(isConflict, () =>
          this.rows.run({ chat: chatId, user: userId }, write),
        ).catch((error: unknown) => {
          if (!(error instanceof BudgetExhausted)) throw error;
          full = this.limits.exhausted(error);
        });
        if (accepted === undefined) return undefined;
        this.capacity.accepted();
        this.logger.log(logLine(kind.words, { request_id: requestId, job_id: jobId, chat_id: chatId }));
        this.due.add(jobId);
        accepting?.end();
        return { ...accepted, replayed: false };
      },
      obstacle: async (again) => {
        const refusal = (await refusalOf(kind.refusal)) ?? full;
        // The key is read after the obstacle, which may be the job of another request with the same key.
        const kept = await this.kept.find(userId, requestKey);
        if (kept?.jobId) return { ...(await kind.earlier(kept.jobId)), replayed: true };
        // The key may have been the obstacle, and a deletion may have removed it since. Then the second try decides by the present state.
        return requestKey === undefined || again ? refusal : undefined;
      },
      givenUp: () => new ServiceError('turn_in_progress', 'The chat has a turn in progress.'),
    });
  }
}
