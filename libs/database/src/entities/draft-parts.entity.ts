import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { OtherPart } from './part.js';

/**
 * The parts of the step under way besides its text, as its attempt last saved them. A row of another attempt or step than the job's is
 * outdated. Removed when the turn ends.
 */
@Entity('draft_parts')
export class DraftParts {
  @PrimaryColumn('uuid', { name: 'job_id' })
  jobId: string;

  @Column('integer')
  attempt: number;

  /** From 1. */
  @Column('smallint')
  step: number;

  @Column('jsonb')
  parts: readonly OtherPart[];
}
