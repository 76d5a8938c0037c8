import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * The receipt of a user's erasure. Until the erasure is done the receipt names the user, so that any process can go on with it. Afterwards
 * it has only counts, and names no user.
 */
@Entity('receipts')
export class Receipt {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('text', { name: 'user_id', nullable: true })
  userId: string | null;

  /** Data that was made later stays. */
  @Column({ type: 'timestamptz', name: 'begun_at', precision: 3 })
  begunAt: Date;

  @Column({ type: 'timestamptz', name: 'ended_at', precision: 3, nullable: true })
  endedAt: Date | null;

  // Counts are text: the driver gives integers of 64 bits so.
  @Column('bigint')
  chats: string;

  @Column('bigint')
  messages: string;

  @Column('bigint')
  jobs: string;

  @Column('bigint', { name: 'idempotency_keys' })
  idempotencyKeys: string;
}
