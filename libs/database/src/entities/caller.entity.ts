import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What a user has used of what one may have. A row that lies in the past says nothing, and is removed in time. */
@Entity('callers')
export class Caller {
  @PrimaryColumn('text', { name: 'user_id' })
  userId: string;

  /** Until when the turns sent so far use the minute up: each moves it on by its share. */
  @Column('timestamptz', { name: 'turns_until' })
  turnsUntil: Date;
}
