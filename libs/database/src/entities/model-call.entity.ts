import { Column, Entity, PrimaryColumn } from 'typeorm';

/**
 * How a call ended. `handed_back`: its worker stopped. `lost`: its worker died or was fenced off. Tokens are known for all of them, as far
 * as the model had reported them.
 */
export type CallOutcome = 'running' | 'completed' | 'failed' | 'canceled' | 'handed_back' | 'lost';

/** The purpose of a call: a turn's reply, or a summary of what its prompt leaves out. */
export type CallPurpose = 'reply' | 'summary';

/** A call of the model: an entry of the ledger, opened before the call and ended with it. */
@Entity('model_calls')
export class ModelCall {
  /** Its job. After a deletion it is an id that no job has. */
  @PrimaryColumn('uuid', { name: 'job_id' })
  jobId: string;

  /** The attempt that made it. */
  @PrimaryColumn('integer')
  attempt: number;

  /** The step of the turn that it was for, from 1; 0: a summary before the first step. */
  @PrimaryColumn('smallint')
  step: number;

  /** The turn's user; null: that user's data was deleted, or an older version opened the entry. */
  @Column('text', { name: 'user_id', nullable: true })
  userId: string | null;

  /** The assistant; null: an older version opened the entry. */
  @Column('text', { name: 'assistant_slug', nullable: true })
  assistantSlug: string | null;

  /** The model of the request. */
  @Column('text')
  model: string;

  @Column('text')
  purpose: CallPurpose;

  @Column('text')
  outcome: CallOutcome;

  /** Why it failed, as a code of a job's error. */
  @Column('text', { name: 'error_code', nullable: true })
  errorCode: string | null;

  /** The id of the model's answer, to find it in the provider's own accounts. It is deleted with the job. */
  @Column('text', { name: 'message_id', nullable: true })
  messageId: string | null;

  /** All input, cached or not; null: the model never reported it. */
  @Column('integer', { name: 'input_tokens', nullable: true })
  inputTokens: number | null;

  /** Parts of the input: read from the provider's cache, and written to it for five minutes or an hour; null: not reported. */
  @Column('integer', { name: 'cache_read_tokens', nullable: true })
  cacheReadTokens: number | null;

  @Column('integer', { name: 'cache_write_5m_tokens', nullable: true })
  cacheWrite5mTokens: number | null;

  @Column('integer', { name: 'cache_write_1h_tokens', nullable: true })
  cacheWrite1hTokens: number | null;

  /** Output as last reported. The model reports all of it only at the end. */
  @Column('integer', { name: 'output_tokens', nullable: true })
  outputTokens: number | null;

  /** The part of the output that the model thought; null: not reported. */
  @Column('integer', { name: 'thinking_tokens', nullable: true })
  thinkingTokens: number | null;

  /** Requests of the provider's tools, by their names in the model's usage (`web_search_requests`); null: none. */
  @Column('jsonb', { name: 'server_tools', nullable: true })
  serverTools: Readonly<Record<string, number>> | null;

  /** Its cost, as a decimal number in the currency of the prices; null: it runs, or its model has no price. A trigger writes it. */
  @Column({ type: 'numeric', nullable: true, insert: false, update: false })
  cost: string | null;

  /** Some of the tokens are estimates: the call was canceled, lost or broken, or its figures were never reported. */
  @Column('boolean')
  estimated: boolean;

  /** From the beginning of the call to its first text, in milliseconds. */
  @Column('integer', { name: 'first_text_ms', nullable: true })
  firstTextMs: number | null;

  @Column({ type: 'timestamptz', name: 'started_at', precision: 3 })
  startedAt: Date;

  /** For a lost call: when that was noticed. */
  @Column({ type: 'timestamptz', name: 'ended_at', precision: 3, nullable: true })
  endedAt: Date | null;
}
