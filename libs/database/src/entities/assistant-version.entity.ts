import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Effort, Thinking } from './assistant.entity.js';
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

  /** PostgreSQL computes this column and the next three from the definition. */
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

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
