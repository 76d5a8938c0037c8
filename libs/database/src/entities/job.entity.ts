import { Column, Entity, PrimaryColumn } from 'typeorm';

export type JobStatus = 'queued' | 'running' | 'requires_action' | 'succeeded' | 'failed' | 'canceled';

/** The job of a turn, from accepted to final. Every statement that changes a row is in `libs/jobs`. */
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

  /** The version of the assistant's definition with which the job was accepted; null: the next claim takes the current version. */
  @Column('integer', { name: 'assistant_version', nullable: true })
  assistantVersion: number | null;

  /** The newest user message that the reply answers. */
  @Column('uuid', { name: 'user_message_id' })
  userMessageId: string;

  /** `X-Request-Id` of the request that sent the turn. The worker's log has it, too. */
  @Column('text', { name: 'request_id' })
  requestId: string;

  /** The trace context in which the turn was accepted (W3C Trace Context); null: no traces are kept. */
  @Column('text', { nullable: true })
  traceparent: string | null;

  /** Attempts begun so far. It is the fencing token of the running one. */
  @Column('integer')
  attempts: number;

  /** How many steps are finished. */
  @Column('smallint')
  step: number;

  /** The text of the finished steps. */
  @Column('text')
  kept: string;

  /** `seq` of the first message in the finished steps' history; null: no step is finished. */
  @Column('integer', { name: 'window_from_seq', nullable: true })
  windowFromSeq: number | null;

  /** Attempts that may still begin. An attempt that was handed back does not count, but keeps its number. */
  @Column('smallint', { name: 'attempts_left' })
  attemptsLeft: number;

  /** Attempts that failed and did not count, because the model was away or an operator had to act; bounded. */
  @Column('smallint', { name: 'free_attempts' })
  freeAttempts: number;

  /** Its round: jobs of a lower round go first, and each of a user's unfinished jobs has another round. */
  @Column('integer')
  round: number;

  /** A queued job does not begin before this time. No other clock decides on retries. */
  @Column({ type: 'timestamptz', name: 'available_at', precision: 3 })
  availableAt: Date;

  /** Set when a stopping worker hands the job back. Workers that were started before this moment leave the job to newer ones for some seconds. */
  @Column({ type: 'timestamptz', name: 'left_to_workers_since', precision: 3, nullable: true })
  leftToWorkersSince: Date | null;

  /** While running: when the attempt counts as lost, unless its worker extends it. */
  @Column({ type: 'timestamptz', name: 'lease_until', precision: 3, nullable: true })
  leaseUntil: Date | null;

  /** Since when the job waits for a person, and until when; null: it does not wait for one. */
  @Column({ type: 'timestamptz', name: 'action_since', precision: 3, nullable: true })
  actionSince: Date | null;

  @Column({ type: 'timestamptz', name: 'action_expires_at', precision: 3, nullable: true })
  actionExpiresAt: Date | null;

  /** How long it has waited for persons before, in seconds. Its hour stands still meanwhile. */
  @Column('integer', { name: 'waited_seconds' })
  waitedSeconds: number;

  /** The reply's text so far, of finished steps and of the running attempt, as last saved. */
  @Column('text')
  draft: string;

  /** Tokens that the turn may use, reckoned at its acceptance; null: no budget needs the figure. It counts while the job is unfinished. */
  @Column('bigint', { name: 'reserved_tokens', nullable: true })
  reservedTokens: string | null;

  /** The same in money, as a decimal number. */
  @Column('numeric', { name: 'reserved_cost', nullable: true })
  reservedCost: string | null;

  /** Slug of the chat's assistant, if the assistant has a budget. */
  @Column('text', { name: 'budget_of', nullable: true })
  budgetOf: string | null;

  @Column('text', { name: 'error_code', nullable: true })
  errorCode: string | null;

  @Column('text', { name: 'error_message', nullable: true })
  errorMessage: string | null;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;

  /** When an operator last put the job back after it had failed. */
  @Column({ type: 'timestamptz', name: 'requeued_at', precision: 3, nullable: true })
  requeuedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'started_at', precision: 3, nullable: true })
  startedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'finished_at', precision: 3, nullable: true })
  finishedAt: Date | null;
}
