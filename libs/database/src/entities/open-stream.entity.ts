import { Column, Entity, PrimaryColumn } from 'typeorm';

/** How many event streams of a user one API process has open. */
@Entity('open_streams')
export class OpenStream {
  @PrimaryColumn('text', { name: 'user_id' })
  userId: string;

  @PrimaryColumn('uuid')
  process: string;

  @Column('integer')
  streams: number;
}

/** An API process that has streams open. */
@Entity('stream_holders')
export class StreamHolder {
  @PrimaryColumn('uuid')
  process: string;

  /** After this time the process counts as dead, and its streams do not count. */
  @Column('timestamptz', { name: 'alive_until' })
  aliveUntil: Date;
}
