import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A browser's session on the board. It begins as a link that works once, and goes on as a cookie. */
@Entity('admin_sessions')
export class AdminSession {
  /** SHA-256 of the secret in the link or in the cookie. */
  @PrimaryColumn('bytea', { name: 'secret_hash' })
  secretHash: Buffer;

  /** The operator. */
  @Column('text', { name: 'user_id' })
  userId: string;

  /** When the link expires; null: it was opened. */
  @Column({ type: 'timestamptz', name: 'link_until', precision: 3, nullable: true })
  linkUntil: Date | null;

  @Column({ type: 'timestamptz', name: 'expires_at', precision: 3 })
  expiresAt: Date;
}
