import { Column, Entity, PrimaryColumn } from 'typeorm';

/** The switch that pauses dispatch, as one row. */
@Entity('dispatch')
export class Dispatch {
  @PrimaryColumn('boolean')
  one: true;

  @Column('boolean')
  paused: boolean;

  @Column({ type: 'timestamptz', name: 'changed_at', precision: 3 })
  changedAt: Date;

  /** The operator's user id; null: no operator has used the switch. */
  @Column('text', { name: 'changed_by', nullable: true })
  changedBy: string | null;
}
