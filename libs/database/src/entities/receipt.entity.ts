import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * What was deleted when a user asked to erase all their data. Until it is done it names the user, so that any process can go on; afterwards
 * it has counts and names nobody.
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
