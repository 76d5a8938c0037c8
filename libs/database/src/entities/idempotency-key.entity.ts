import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A request that must not be done twice, and its effect: a job, a message or a chat. */
@Entity('idempotency_keys')
export class IdempotencyKey {
  /** Each user has keys of their own. */
  @PrimaryColumn('text', { name: 'user_id' })
  userId: string;

  @PrimaryColumn('text')
  key: string;

  /** SHA-256 of method, path and body. The same key with another request is refused. */
  @Column('bytea')
  fingerprint: Buffer;

  @Column('uuid', { name: 'job_id', nullable: true })
  jobId: string | null;

  @Column('uuid', { name: 'message_id', nullable: true })
  messageId: string | null;

  /** The chat as it was answered: unlike jobs and messages, a chat changes. */
  @Column('jsonb', { nullable: true })
  chat: object | null;

  /** Whether the request created its effect or found it. */
  @Column('boolean')
  created: boolean;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
