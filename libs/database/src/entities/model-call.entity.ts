import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * What became of a call. `handed_back`: its worker stopped; `lost`: its worker died, or was fenced off. Tokens are known for
 * all of them as far as the model had told.
 */
export type CallOutcome = 'running' | 'completed' | 'failed' | 'canceled' | 'handed_back' | 'lost';

/** One call of the model: a line of the ledger, written before the call and again when it ends. */
@Entity('model_calls')
export class ModelCall {
  /** Its job. Of one that was removed: an id that no job has. */
  @PrimaryColumn('uuid', { name: 'job_id' })
  jobId: string;

  /** The attempt that made it; an attempt makes one. */
  @PrimaryColumn('integer')
  attempt: number;

  /** Whose turn it was for; null: that user's data was deleted, or an older version opened the line. */
  @Column('text', { name: 'user_id', nullable: true })
  userId: string | null;

  /** Whose turn it was to answer; null: an older version opened the line. */
  @Column('text', { name: 'assistant_slug', nullable: true })
  assistantSlug: string | null;

  /** The model that was asked for. */
  @Column('text')
  model: string;

  @Column('text')
  outcome: CallOutcome;

  /** Why it failed, in the codes of a job's error. */
  @Column('text', { name: 'error_code', nullable: true })
  errorCode: string | null;

  /** The id the model gave its answer, to find it in the model's own accounts; forgotten with the job. */
  @Column('text', { name: 'message_id', nullable: true })
  messageId: string | null;

  /** All input, cached or not; null: the model never told. */
  @Column('integer', { name: 'input_tokens', nullable: true })
  inputTokens: number | null;

  /** Output as last told; the model tells the whole of it only at the end. */
  @Column('integer', { name: 'output_tokens', nullable: true })
  outputTokens: number | null;

  /** Some of the tokens are estimated from what was seen: the call was canceled, lost or broken, or its figures were never reported. */
  @Column('boolean')
  estimated: boolean;

  /** From the call's beginning to its first text, in milliseconds. */
  @Column('integer', { name: 'first_text_ms', nullable: true })
  firstTextMs: number | null;

  @Column({ type: 'timestamptz', name: 'started_at', precision: 3 })
  startedAt: Date;

  /** Of a lost call: when that was noticed. */
  @Column({ type: 'timestamptz', name: 'ended_at', precision: 3, nullable: true })
  endedAt: Date | null;
}
