import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Tool } from './tool.js';

/** How the model is asked to think, in the words of the Messages API (`thinking.type`). */
export const THINKING = ['adaptive', 'between_tools', 'disabled'] as const;
export type Thinking = (typeof THINKING)[number];

/** How much effort the model is asked to make, in the words of the Messages API (`output_config.effort`). */
export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

/** How long the provider's cache keeps the prompts of a chat. */
export const CACHE_TTLS = ['5m', '1h'] as const;
export type CacheTtl = (typeof CACHE_TTLS)[number];

/** The treatment of a long chat's oldest messages: prompts leave them out, or have a summary in their place. */
export const COMPACTIONS = ['truncate', 'summary'] as const;
export type Compaction = (typeof COMPACTIONS)[number];

/** An assistant as `ASSISTANTS_FILE` defines it. The API loads the file into this table at start. */
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

  /** Most tokens of one reply, thinking included. */
  @Column('integer', { name: 'max_output_tokens' })
  maxOutputTokens: number;

  /** Null: the model's own default. */
  @Column('text', { nullable: true })
  thinking: Thinking | null;

  /** Null: the model's own default. */
  @Column('text', { nullable: true })
  effort: Effort | null;

  /** JSON Schema of the replies, which are JSON then; null: they are text. */
  @Column('jsonb', { name: 'output_schema', nullable: true })
  outputSchema: Readonly<Record<string, unknown>> | null;

  /** Texts at which the model ends its reply; null: none. */
  @Column('jsonb', { name: 'stop_sequences', nullable: true })
  stopSequences: readonly string[] | null;

  @Column('text', { name: 'cache_ttl' })
  cacheTtl: CacheTtl;

  /** Most tokens of a prompt, as the model counts: above four fifths of it, the next prompt begins later in the chat. */
  @Column('integer', { name: 'context_tokens' })
  contextTokens: number;

  @Column('text')
  compaction: Compaction;

  /** The model that answers when `model` is overloaded or retired; null: none. */
  @Column('text', { name: 'fallback_model', nullable: true })
  fallbackModel: string | null;

  /** The most that the replies of a day (UTC) may cost, as a decimal number in the currency of the prices; null: there is no bound. */
  @Column('numeric', { name: 'cost_per_day', nullable: true })
  costPerDay: string | null;
  /** Users see the model's reasoning. */
  @Column('boolean', { name: 'show_reasoning' })
  showReasoning: boolean;

  /** Never leaves the service, as the system prompt. */
  @Column('jsonb')
  tools: readonly Tool[];

  /** Most calls of the model in one turn. */
  @Column('smallint', { name: 'max_steps' })
  maxSteps: number;

  /** How long a turn waits for a person, in seconds. */
  @Column('integer', { name: 'action_seconds' })
  actionSeconds: number;

  /** Days that a chat is kept after its last message; null: for ever. */
  @Column('integer', { name: 'retention_days', nullable: true })
  retentionDays: number | null;

  /** Grows by one whenever the definition changes. */
  @Column('integer')
  version: number;

  /** Set when the file no longer defines the assistant. Users then open no new chats with it, and existing chats go on. */
  @Column({ type: 'timestamptz', name: 'retired_at', precision: 3, nullable: true })
  retiredAt: Date | null;
}
