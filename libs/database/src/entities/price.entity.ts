import { Column, Entity, PrimaryColumn } from 'typeorm';

/** The price of a million tokens of a model, from the assistants file. The amounts are decimal numbers. */
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

  /** The price of one request of a provider's tool, by its name in the model's usage. */
  @Column('jsonb', { name: 'server_tools' })
  serverTools: Readonly<Record<string, number>>;
}
