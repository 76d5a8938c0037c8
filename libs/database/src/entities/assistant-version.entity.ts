import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { CacheTtl, Compaction, Effort, Thinking } from './assistant.entity.js';
import type { Tool } from './tool.js';

/** An assistant's definition as a worker uses it: the columns of `assistants` that define it, by their names. */
export interface Definition {
  readonly model: string;
  readonly system_prompt: string;
  readonly max_output_tokens: number;
  readonly thinking: Thinking | null;
  readonly effort: Effort | null;
  /** These three are missing in definitions of before there were tools. */
  readonly tools?: readonly Tool[];
  readonly max_steps?: number;
  readonly action_seconds?: number;
  /** These are missing in definitions of before there were costs. */
  readonly output_schema?: Readonly<Record<string, unknown>> | null;
  readonly stop_sequences?: readonly string[] | null;
  readonly cache_ttl?: CacheTtl;
  readonly context_tokens?: number;
  readonly compaction?: Compaction;
  readonly fallback_model?: string | null;
  /** Missing in definitions of before it. */
  readonly show_reasoning?: boolean;
}

/** A definition that was on offer. A trigger on `assistants` writes it; nothing changes or removes it. */
@Entity('assistant_versions')
export class AssistantVersion {
  @PrimaryColumn('text')
  slug: string;

  @PrimaryColumn('integer')
  version: number;

  @Column('jsonb')
  definition: Definition;

  /** PostgreSQL computes this column and the next five from the definition. */
  @Column({ type: 'text', insert: false, update: false })
  model: string;

  @Column({ type: 'integer', name: 'max_output_tokens', insert: false, update: false })
  maxOutputTokens: number;

  /** Bytes of the system prompt, in UTF-8. */
  @Column({ type: 'integer', name: 'prompt_bytes', insert: false, update: false })
  promptBytes: number;

  /** Bytes of the tools' JSON. */
  @Column({ type: 'integer', name: 'tool_bytes', insert: false, update: false })
  toolBytes: number;

  @Column({ type: 'integer', name: 'context_tokens', insert: false, update: false })
  contextTokens: number;

  /** Null: the replies of a day may cost anything. */
  @Column({ type: 'numeric', name: 'cost_per_day', nullable: true, insert: false, update: false })
  costPerDay: string | null;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
