import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A user rate: how much of the turn limit a user has used. A row whose time is past limits nothing, and is removed. */
@Entity('callers')
export class UserRate {
  @PrimaryColumn('text', { name: 'user_id' })
  userId: string;

  /** When the turns sent so far stop counting. Each turn moves it on by its share of the minute. */
  @Column('timestamptz', { name: 'turns_until' })
  turnsUntil: Date;
}
