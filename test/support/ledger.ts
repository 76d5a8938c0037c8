import type { Stack } from './stack.js';

/** An entry of the ledger. */
export interface LedgerLine {
  readonly job_id: string;
  readonly attempt: number;
  readonly step: number;
  readonly model: string;
  readonly outcome: string;
  readonly error_code: string | null;
  readonly message_id: string | null;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cache_read_tokens: number | null;
  readonly cache_write_5m_tokens: number | null;
  readonly cache_write_1h_tokens: number | null;
  readonly thinking_tokens: number | null;
  /** A decimal number; null: the model has no price. */
  readonly cost: string | null;
  readonly estimated: boolean;
  readonly first_text_ms: number | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
}

/** The entries of a job's calls, by attempt and step. */
export async function ledgerOf(stack: Stack, jobId: string): Promise<LedgerLine[]> {
  const { rows } = await stack.database.query<LedgerLine>(
    'SELECT * FROM model_calls WHERE job_id = $1 ORDER BY attempt, step',
    [jobId],
  );
  return rows;
}
