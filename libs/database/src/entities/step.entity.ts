import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { OtherPart } from './part.js';

/** A finished step of an unfinished turn: a call of the model whose answer the next call continues. Removed when the turn ends. */
@Entity('steps')
export class Step {
  @PrimaryColumn('uuid', { name: 'job_id' })
  jobId: string;

  /** From 1. */
  @PrimaryColumn('smallint')
  step: number;

  /** The attempt that made it. */
  @Column('integer')
  attempt: number;

  /** The model's content blocks as they came, to be sent back. */
  @Column('json')
  content: unknown;

  @Column('text', { name: 'stop_reason' })
  stopReason: string;

  /** The text that it added to the reply. */
  @Column('text')
  text: string;

  /** Its parts besides its text and its tool calls; null: none. The column is older than reasoning, and services that run know its name. */
  @Column('jsonb', { name: 'sources', nullable: true })
  otherParts: readonly OtherPart[] | null;

  /** The length of the reply's text after it, in UTF-16 code units. */
  @Column('integer', { name: 'ends_at' })
  endsAt: number;
}
