import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * What was removed when a user asked for all of it to be. While that goes on it says whose, so that any process can go on with it;
 * afterwards it counts, and names nobody.
 */
@Entity('receipts')
export class Receipt {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  @Column('text', { name: 'user_id', nullable: true })
  userId: string | null;

  /** What was made later stays. */
  @Column({ type: 'timestamptz', name: 'begun_at', precision: 3 })
  begunAt: Date;

  @Column({ type: 'timestamptz', name: 'ended_at', precision: 3, nullable: true })
  endedAt: Date | null;

  // Counts come as text, as the driver gives what may be larger than a number holds.
  @Column('bigint')
  chats: string;

  @Column('bigint')
  messages: string;

  @Column('bigint')
  jobs: string;

  @Column('bigint', { name: 'idempotency_keys' })
  idempotencyKeys: string;
}
