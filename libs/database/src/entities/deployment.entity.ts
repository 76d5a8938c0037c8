import { Column, Entity, PrimaryColumn } from 'typeorm';

/** Data that all processes on one database share, as one row. */
@Entity('deployment')
export class Deployment {
  /** Always true: there is one row. */
  @PrimaryColumn('boolean', { name: 'is_this' })
  isThis: true;

  /** The key that makes users' tags in the log (see `UserTags`). It is random, made with the table. */
  @Column('bytea', { name: 'log_key' })
  logKey: Buffer;

  /** The currency of all recorded costs; null: none is recorded yet. */
  @Column('text', { nullable: true })
  currency: string | null;
}
