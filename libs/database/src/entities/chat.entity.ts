import { Column, Entity, PrimaryColumn, VirtualColumn } from 'typeorm';
import { unfinishedJob } from '../columns.js';

export type ChatStatus = 'active' | 'archived' | 'closed';

/** Columns that only hand-written statements use. */
const OF_STATEMENTS = { select: false, insert: false, update: false } as const;

/** A user's chat with one assistant. */
@Entity('chats')
export class Chat {
  /** UUIDv7. */
  @PrimaryColumn('uuid')
  id: string;

  /** The token's `sub`; null: the chat is being deleted, and no request finds it. */
  @Column('text', { name: 'user_id', nullable: true })
  userId: string | null;

  /** The former user, while its rows are being deleted. */
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

  /** `seq` of the newest message. The next message takes the next number, under the row's lock. */
  @Column('integer', { name: 'last_seq' })
  lastSeq: number;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', precision: 3 })
  updatedAt: Date;

  @Column({ type: 'timestamptz', name: 'last_message_at', precision: 3 })
  lastMessageAt: Date;

  /**
   * `last_message_at` of a chat that is not active, for its place in its user's list. No turn changes it, so no turn writes to its index.
   * PostgreSQL computes it.
   */
  @Column({ type: 'timestamptz', name: 'rested_at', precision: 3, nullable: true, ...OF_STATEMENTS })
  restedAt?: Date | null;

  /** A time not after `last_message_at`: when retention last checked the chat. */
  @Column({ type: 'timestamptz', name: 'idle_since', precision: 3, ...OF_STATEMENTS })
  idleSince?: Date;

  /** `seq` of the first message that prompts have; null: they have all. It moves when a prompt would be too long. */
  @Column({ type: 'integer', name: 'window_from_seq', nullable: true, ...OF_STATEMENTS })
  windowFromSeq?: number | null;

  /** Tokens of the last reply and its prompt, as the model counted them; null: not known. */
  @Column({ type: 'integer', name: 'context_tokens', nullable: true, ...OF_STATEMENTS })
  contextTokens?: number | null;

  /** The job of the turn in flight. It is no column: the statement that reads the chat finds it in the index of unfinished jobs. */
  @VirtualColumn({ type: 'uuid', query: unfinishedJob })
  unfinishedJobId: string | null;
}
