import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * Tells operators why workers do not call the model at the moment. Each worker decides for itself, from its own calls; the row holds the
 * latest report.
 */
@Entity('model_holds')
export class ModelHold {
  /** `all`, `model:NAME` or `assistant:SLUG`. */
  @PrimaryColumn('text')
  scope: string;

  /** One of the codes of a job's error. */
  @Column('text')
  code: string;

  @Column('text')
  message: string;

  @Column({ type: 'timestamptz', precision: 3 })
  since: Date;

  /** When the next probe begins. A row whose time is long past is a dead worker's. */
  @Column({ type: 'timestamptz', precision: 3 })
  until: Date;
}
