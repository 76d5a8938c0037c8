import { Column, Entity, PrimaryColumn } from 'typeorm';

/** Whether attempts are begun: the one row that operators switch. */
@Entity('dispatch')
export class Dispatch {
  @PrimaryColumn('boolean')
  one: true;

  @Column('boolean')
  paused: boolean;

  @Column({ type: 'timestamptz', name: 'changed_at', precision: 3 })
  changedAt: Date;

  /** The operator's user id; null: nobody has touched it. */
  @Column('text', { name: 'changed_by', nullable: true })
  changedBy: string | null;
}
