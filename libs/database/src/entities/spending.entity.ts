import { Column, Entity, PrimaryColumn } from 'typeorm';

/** The cost of an assistant's calls that began on a day. A trigger of the ledger writes it. The sum over its rows counts. */
@Entity('spending')
export class Spending {
  /** In UTC. */
  @PrimaryColumn('date')
  day: string;

  @PrimaryColumn('text', { name: 'assistant_slug' })
  assistantSlug: string;

  /** The session of PostgreSQL that wrote the row. */
  @PrimaryColumn('integer')
  session: number;

  @Column('numeric')
  cost: string;
}
