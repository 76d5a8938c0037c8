import { Column, Entity, PrimaryColumn } from 'typeorm';

export type MessageRole = 'system' | 'user' | 'assistant';
export type MessageStatus = 'complete' | 'incomplete';

/** The model's own words about a refusal; null: the model gave none. */
export interface StopDetails {
  readonly category: string | null;
  readonly explanation: string | null;
}

/** A message of a chat. Messages are only added; only `leftOutBy` changes later. */
@Entity('messages')
export class Message {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('uuid', { name: 'chat_id' })
  chatId: string;

  /** The message's number in its chat, from 1, without gaps. */
  @Column('integer')
  seq: number;

  @Column('text')
  role: MessageRole;

  /** Its text: all of its text parts, joined. */
  @Column('text')
  content: string;

  /** Its parts; null: the message is its content alone. */
  @Column('jsonb', { nullable: true })
  parts: readonly unknown[] | null;

  /** `incomplete`: the partial text of a canceled reply, or of a reply that the model ended early (see `stopReason`). */
  @Column('text')
  status: MessageStatus;

  @Column('jsonb')
  metadata: Record<string, string>;

  /** The job that wrote it, for assistant messages. It is unique, so that a job writes at most one. */
  @Column('uuid', { name: 'job_id', nullable: true })
  jobId: string | null;

  @Column('text', { nullable: true })
  model: string | null;

  /** The version of the assistant's definition that made the reply; null: not a reply, or an older version of the service wrote it. */
  @Column('integer', { name: 'assistant_version', nullable: true })
  assistantVersion: number | null;

  @Column('text', { name: 'stop_reason', nullable: true })
  stopReason: string | null;

  /** Details of a refusal; null for every other reply. */
  @Column('jsonb', { name: 'stop_details', nullable: true })
  stopDetails: StopDetails | null;

  /** The job whose turn the model refused or rejected, so that later prompts leave this message out; null: they include it. */
  @Column('uuid', { name: 'left_out_by', nullable: true })
  leftOutBy: string | null;

  @Column('integer', { name: 'input_tokens', nullable: true })
  inputTokens: number | null;

  @Column('integer', { name: 'output_tokens', nullable: true })
  outputTokens: number | null;

  /** Parts of the input: read from the provider's cache, and written to it; null: not reported. */
  @Column('integer', { name: 'cache_read_tokens', nullable: true })
  cacheReadTokens: number | null;

  @Column('integer', { name: 'cache_write_tokens', nullable: true })
  cacheWriteTokens: number | null;

  /** The part of the output that the model thought; null: not reported. */
  @Column('integer', { name: 'thinking_tokens', nullable: true })
  thinkingTokens: number | null;

  /** The cost of the reply, as a decimal number in the currency of the prices; null: its model has no price. */
  @Column('numeric', { nullable: true })
  cost: string | null;

  /** The tokens are estimates: the model never reported them. */
  @Column('boolean', { name: 'usage_estimated' })
  usageEstimated: boolean;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
