import { Column, Entity, PrimaryColumn, VirtualColumn } from 'typeorm';
import { unfinishedJob } from '../columns.js';

export type ChatStatus = 'active' | 'archived' | 'closed';

/** A user's chat with one assistant. */
@Entity('chats')
export class Chat {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  /** The token's `sub`; null once the chat is being removed: then it is nobody's, and no request finds it. */
  @Column('text', { name: 'user_id', nullable: true })
  userId: string | null;

  /** Whose it was, while its rows are being removed. */
  @Column('text', { name: 'released_from', nullable: true })
  releasedFrom: string | null;

  @Column('text', { name: 'assistant_slug' })
  assistantSlug: string;

  @Column('text')
  status: ChatStatus;

  @Column('text', { nullable: true })
  title: string | null;

  @Column('jsonb')
  metadata: Record<string, string>;

  /** `seq` of the newest message; the next one is this plus one, taken under the row's lock. */
  @Column('integer', { name: 'last_seq' })
  lastSeq: number;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', precision: 3 })
  updatedAt: Date;

  @Column({ type: 'timestamptz', name: 'last_message_at', precision: 3 })
  lastMessageAt: Date;

  /** The job of the turn in flight. No column: looked up in the index of unfinished jobs by the statement that reads the chat. */
  @VirtualColumn({ type: 'uuid', query: unfinishedJob })
  unfinishedJobId: string | null;
}
