import { Column, Entity, PrimaryColumn } from 'typeorm';

export type ToolCallStatus =
  | 'awaiting_approval'
  | 'awaiting_result'
  | 'queued'
  | 'running'
  | 'succeeded'
  | 'failed'
  | 'denied'
  | 'canceled'
  | 'expired';

/** One use of a tool in a turn. Each call that has ended has a result. */
@Entity('tool_calls')
export class ToolCall {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('uuid', { name: 'job_id' })
  jobId: string;

  /** The step that asked for it, and its place in the step, both from 1. */
  @Column('smallint')
  step: number;

  @Column('smallint')
  n: number;

  /** The id that the model gave it. */
  @Column('text', { name: 'provider_id' })
  providerId: string;

  @Column('text')
  name: string;

  /** An object. */
  @Column('json')
  input: unknown;

  @Column('text')
  status: ToolCallStatus;

  /** The attempt that runs it, or ran it; null: no worker has begun it. */
  @Column('integer', { nullable: true })
  attempt: number | null;

  /** The `sub` of the person who decided. */
  @Column('text', { name: 'decided_by', nullable: true })
  decidedBy: string | null;

  /** The words of a person who denied the call. */
  @Column('text', { nullable: true })
  reason: string | null;

  /** What the model gets; null: the call has not ended. */
  @Column('text', { nullable: true })
  result: string | null;

  @Column('boolean', { name: 'is_error' })
  isError: boolean;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'decided_at', precision: 3, nullable: true })
  decidedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'ended_at', precision: 3, nullable: true })
  endedAt: Date | null;
}
