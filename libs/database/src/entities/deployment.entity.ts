import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What all processes on one database share: one row. */
@Entity('deployment')
export class Deployment {
  /** Always true: there is one row. */
  @PrimaryColumn('boolean', { name: 'is_this' })
  isThis: true;

  /** The key under which users are written to the log (see `UserTags`). Random, made with the table. */
  @Column('bytea', { name: 'log_key' })
  logKey: Buffer;
}
