import { Column, Entity, PrimaryColumn } from 'typeorm';

export type MessageRole = 'system' | 'user' | 'assistant';
export type MessageStatus = 'complete' | 'incomplete';

/** Why the model refused, in its own words; null where it does not say. */
export interface StopDetails {
  readonly category: string | null;
  readonly explanation: string | null;
}

/** One message of a chat. Messages are only ever added; only `leftOutBy` changes afterwards. */
@Entity('messages')
export class Message {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('uuid', { name: 'chat_id' })
  chatId: string;

  /** Position in the chat, from 1, without gaps. */
  @Column('integer')
  seq: number;

  @Column('text')
  role: MessageRole;

  @Column('text')
  content: string;

  /** `incomplete`: the partial text of a canceled reply, or of one that the model ended early (see `stopReason`). */
  @Column('text')
  status: MessageStatus;

  @Column('jsonb')
  metadata: Record<string, string>;

  /** The job that wrote it (assistant messages only); unique, so that a job writes one at most. */
  @Column('uuid', { name: 'job_id', nullable: true })
  jobId: string | null;

  @Column('text', { nullable: true })
  model: string | null;

  @Column('text', { name: 'stop_reason', nullable: true })
  stopReason: string | null;

  /** What the model says of a refusal; null for every other reply. */
  @Column('jsonb', { name: 'stop_details', nullable: true })
  stopDetails: StopDetails | null;

  /** The job for whose sake later prompts leave it out, since the model refused or rejected its turn; null: they do not. */
  @Column('uuid', { name: 'left_out_by', nullable: true })
  leftOutBy: string | null;

  @Column('integer', { name: 'input_tokens', nullable: true })
  inputTokens: number | null;

  @Column('integer', { name: 'output_tokens', nullable: true })
  outputTokens: number | null;

  /** The tokens are estimated from what was seen: the model never reported them. */
  @Column('boolean', { name: 'usage_estimated' })
  usageEstimated: boolean;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
