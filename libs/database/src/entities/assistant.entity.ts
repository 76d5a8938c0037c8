import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An assistant as `ASSISTANTS_FILE` defines it; the file is loaded into this table at start. */
@Entity('assistants')
export class Assistant {
  @PrimaryColumn('text')
  slug: string;

  @Column('text')
  name: string;

  @Column('text')
  description: string;

  /** Never leaves the service: no presenter reads it. */
  @Column('text', { name: 'system_prompt' })
  systemPrompt: string;

  @Column('text', { name: 'welcome_message' })
  welcomeMessage: string;

  @Column('text')
  model: string;

  /** Upper bound on the tokens of one reply. */
  @Column('integer', { name: 'max_output_tokens' })
  maxOutputTokens: number;

  /** Days a chat is kept after its last message; null: for ever. */
  @Column('integer', { name: 'retention_days', nullable: true })
  retentionDays: number | null;

  /** Raised by one whenever the definition changes. */
  @Column('integer')
  version: number;

  /** Set when the file no longer defines it: no new chats, the old ones go on. */
  @Column({ type: 'timestamptz', name: 'retired_at', precision: 3, nullable: true })
  retiredAt: Date | null;
}
