import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What a million tokens of a model cost, as the assistants file says. The amounts are decimal numbers. */
@Entity('prices')
export class Price {
  @PrimaryColumn('text')
  model: string;

  /** Input that the cache has no part in. */
  @Column('numeric')
  input: string;

  @Column('numeric')
  output: string;

  @Column('numeric', { name: 'cache_read' })
  cacheRead: string;

  @Column('numeric', { name: 'cache_write_5m' })
  cacheWrite5m: string;

  @Column('numeric', { name: 'cache_write_1h' })
  cacheWrite1h: string;

  /** What one request of a tool of the provider costs, by its name in the model's usage. */
  @Column('jsonb', { name: 'server_tools' })
  serverTools: Readonly<Record<string, number>>;
}
