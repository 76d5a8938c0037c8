import { Column, Entity, PrimaryColumn } from 'typeorm';

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'canceled';

/** The reply to a turn, from accepted to final. `libs/jobs` holds every statement that changes a row. */
@Entity('jobs')
export class Job {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  type: 'assistant-reply';

  @Column('text')
  status: JobStatus;

  @Column('uuid', { name: 'chat_id' })
  chatId: string;

  /** The chat's user, kept here so that a poll reads one row. */
  @Column('text', { name: 'user_id' })
  userId: string;

  /** The newest user message the reply answers. */
  @Column('uuid', { name: 'user_message_id' })
  userMessageId: string;

  /** `X-Request-Id` of the request that asked, carried into the worker's log. */
  @Column('text', { name: 'request_id' })
  requestId: string;

  /** The place in its trace from which the turn was accepted (W3C Trace Context); null where no traces are kept. */
  @Column('text', { nullable: true })
  traceparent: string | null;

  /** Attempts begun so far; the number of the running one is its fencing token. */
  @Column('integer')
  attempts: number;

  /** Attempts that may still begin. An attempt handed back unharmed does not count, but keeps its number. */
  @Column('smallint', { name: 'attempts_left' })
  attemptsLeft: number;

  /** Attempts that failed and did not count, because the model was away or an operator had to act; bounded. */
  @Column('smallint', { name: 'free_attempts' })
  freeAttempts: number;

  /**
   * When it is its turn: jobs of a lower round go first, and each of a user's unfinished jobs has another round.
   */
  @Column('integer')
  round: number;

  /** A queued job is not started before this moment (the one retry clock). */
  @Column({ type: 'timestamptz', name: 'available_at', precision: 3 })
  availableAt: Date;

  /** While running: the moment at which the attempt counts as lost unless its worker extends it. */
  @Column({ type: 'timestamptz', name: 'lease_until', precision: 3, nullable: true })
  leaseUntil: Date | null;

  /** Text of the running attempt as last checkpointed. */
  @Column('text')
  draft: string;

  @Column('text', { name: 'error_code', nullable: true })
  errorCode: string | null;

  @Column('text', { name: 'error_message', nullable: true })
  errorMessage: string | null;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;

  /** When an operator last put it back, after it had failed. */
  @Column({ type: 'timestamptz', name: 'requeued_at', precision: 3, nullable: true })
  requeuedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'started_at', precision: 3, nullable: true })
  startedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'finished_at', precision: 3, nullable: true })
  finishedAt: Date | null;
}
