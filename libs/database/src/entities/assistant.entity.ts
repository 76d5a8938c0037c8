import { Column, Entity, PrimaryColumn } from 'typeorm';

/** How a model is asked to think; the words of the Messages API (`thinking.type`). */
export const THINKING = ['adaptive', 'between_tools', 'disabled'] as const;
export type Thinking = (typeof THINKING)[number];

/** How much effort a model is asked to make; the words of the Messages API (`output_config.effort`). */
export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

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

  /** Upper bound on the tokens of one reply; what the model thinks counts towards it. */
  @Column('integer', { name: 'max_output_tokens' })
  maxOutputTokens: number;

  /** Null: the model's own default. */
  @Column('text', { nullable: true })
  thinking: Thinking | null;

  /** Null: the model's own default. */
  @Column('text', { nullable: true })
  effort: Effort | null;

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
