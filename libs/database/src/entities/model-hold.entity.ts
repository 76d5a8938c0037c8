import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * Why workers do not call the model at the moment, for operators. Each worker decides for itself, from what it has seen; the row is what
 * the last of them reported.
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
