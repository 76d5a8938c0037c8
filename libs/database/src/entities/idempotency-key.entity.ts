import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A request that must not be done twice, and what it came to: one of a job, a message or a chat. */
@Entity('idempotency_keys')
export class IdempotencyKey {
  /** Keys are a user's own: nobody meets another's. */
  @PrimaryColumn('text', { name: 'user_id' })
  userId: string;

  @PrimaryColumn('text')
  key: string;

  /** SHA-256 of method, path and body: the same key with another request is refused. */
  @Column('bytea')
  fingerprint: Buffer;

  @Column('uuid', { name: 'job_id', nullable: true })
  jobId: string | null;

  @Column('uuid', { name: 'message_id', nullable: true })
  messageId: string | null;

  /** The row of the chat as it was answered: unlike the others it changes. */
  @Column('jsonb', { nullable: true })
  chat: object | null;

  /** Whether the request made what it names, or found it. */
  @Column('boolean')
  created: boolean;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
