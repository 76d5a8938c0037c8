import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A browser's leave to see the board. It begins as a link, which is good once, and goes on as a cookie. */
@Entity('admin_sessions')
export class AdminSession {
  /** SHA-256 of the secret in the link, or in the cookie. */
  @PrimaryColumn('bytea', { name: 'secret_hash' })
  secretHash: Buffer;

  /** The operator. */
  @Column('text', { name: 'user_id' })
  userId: string;

  /** Until when the link can be opened; null once it was. */
  @Column({ type: 'timestamptz', name: 'link_until', precision: 3, nullable: true })
  linkUntil: Date | null;

  @Column({ type: 'timestamptz', name: 'expires_at', precision: 3 })
  expiresAt: Date;
}
