import type { EntityManager } from 'typeorm';
import { type CallFigures, NO_FIGURES } from './ledger.js';
import { runs } from './states.js';
import { LEASE_SECONDS } from './timings.js';

/** One attempt's heartbeat: it extends the lease and saves what is new of the text and of the call's figures. */
export interface Beat {
  readonly jobId: string;
  readonly attempt: number;
  /** Where in the draft the text goes, in code points, as PostgreSQL counts. */
  readonly text: string;
  readonly at: number;
  /** The call's figures, if the model has reported new ones since the last heartbeat. */
  readonly news?: CallFigures | undefined;
}

/**
 * What a heartbeat did. `lost`: the job is another attempt's, so the caller must stop the call and write nothing. `busy`: another session
 * has locked the job's row or the call's entry; nothing is known, and the caller tries again soon.
 */
export type Extended = 'extended' | 'busy' | 'lost';

/*
 * Locked rows are skipped. Otherwise one chat that is being canceled, or a session that an operator left open, would keep all leases of a
 * process from being extended. Since no lock is waited for, the order of locks does not matter here.
 */
const EXTEND = `
  WITH beat AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::boolean[], $6::text[], $7::int[], $8::int[], $9::int[])
        AS beat (id, attempt, text, at, news, message_id, input_tokens, output_tokens, first_text_ms)
  ), held AS (
    SELECT jobs.id, jobs.attempts FROM jobs JOIN beat ON beat.id = jobs.id AND beat.attempt = jobs.attempts
     WHERE ${runs('jobs')} FOR NO KEY UPDATE OF jobs SKIP LOCKED
  ), line AS (
    SELECT c.job_id, c.attempt FROM model_calls c JOIN beat ON beat.id = c.job_id AND beat.attempt = c.attempt
     WHERE beat.news FOR NO KEY UPDATE OF c SKIP LOCKED
  ), job AS (
    UPDATE jobs SET lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
           draft = CASE WHEN length(draft) BETWEEN beat.at AND beat.at + length(beat.text) - 1
                        THEN left(draft, beat.at) || beat.text ELSE draft END
      FROM beat JOIN held ON held.id = beat.id AND held.attempts = beat.attempt
     WHERE jobs.id = beat.id AND ${runs('jobs')} AND jobs.attempts = beat.attempt
    RETURNING jobs.id, jobs.attempts
  ), call AS (
    UPDATE model_calls c SET message_id = beat.message_id, input_tokens = beat.input_tokens,
           output_tokens = beat.output_tokens, first_text_ms = beat.first_text_ms
      FROM job JOIN beat ON beat.id = job.id AND beat.attempt = job.attempts
           JOIN line ON line.job_id = beat.id AND line.attempt = beat.attempt
     WHERE beat.news AND c.job_id = line.job_id AND c.attempt = line.attempt
    RETURNING c.job_id, c.attempt
  )
  SELECT beat.id AS "jobId", beat.attempt,
         CASE WHEN jobs.id IS NULL THEN 'lost'
              WHEN job.id IS NULL THEN 'busy'
              WHEN beat.news AND call.job_id IS NULL AND EXISTS
                   (SELECT FROM model_calls c WHERE c.job_id = beat.id AND c.attempt = beat.attempt) THEN 'busy'
              ELSE 'extended' END AS extended
    FROM beat LEFT JOIN job ON job.id = beat.id AND job.attempts = beat.attempt
    LEFT JOIN call ON call.job_id = beat.id AND call.attempt = beat.attempt
    LEFT JOIN jobs ON jobs.id = beat.id AND jobs.attempts = beat.attempt AND ${runs('jobs')}`;

/**
 * Extends the leases of attempts in one statement. Each heartbeat is fenced by its own attempt and has its own result. The text goes to a
 * given place, so writing the same text twice is harmless, for instance after an answer that was lost. A draft only grows, even if a
 * statement that was given up is carried out late.
 * @returns what each of `beats` did, in their order
 */
export async function extend(manager: EntityManager, beats: readonly Beat[]): Promise<Extended[]> {
  const figures = beats.map(({ news }) => news ?? NO_FIGURES);
  const rows = await manager.query<{ jobId: string; attempt: number; extended: Extended }[]>(EXTEND, [
    beats.map(({ jobId }) => jobId),
    beats.map(({ attempt }) => attempt),
    beats.map(({ text }) => text),
    beats.map(({ at }) => at),
    beats.map(({ news }) => news !== undefined),
    figures.map(({ messageId }) => messageId),
    figures.map(({ inputTokens }) => inputTokens),
    figures.map(({ outputTokens }) => outputTokens),
    figures.map(({ firstTextMs }) => firstTextMs),
  ]);
  const came = new Map(rows.map(({ jobId, attempt, extended }) => [`${jobId} ${attempt}`, extended]));
  return beats.map(({ jobId, attempt }) => came.get(`${jobId} ${attempt}`) ?? 'lost');
}
