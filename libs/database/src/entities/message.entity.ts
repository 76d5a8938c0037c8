import { Column, Entity, PrimaryColumn } from 'typeorm';

export type MessageRole = 'system' | 'user' | 'assistant';
export type MessageStatus = 'complete' | 'incomplete';

/** One message of a chat. Messages are only ever added. */
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

  /** `incomplete`: the partial text of a cancelled reply. */
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

  @Column('integer', { name: 'input_tokens', nullable: true })
  inputTokens: number | null;

  @Column('integer', { name: 'output_tokens', nullable: true })
  outputTokens: number | null;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
