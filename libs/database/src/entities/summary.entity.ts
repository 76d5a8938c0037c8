import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A summary of a chat's oldest messages, which prompts have in their place. Nothing changes it; it is deleted with the chat. */
@Entity('summaries')
export class Summary {
  @PrimaryColumn('uuid', { name: 'chat_id' })
  chatId: string;

  /** `seq` of the last message in it. */
  @PrimaryColumn('integer', { name: 'until_seq' })
  untilSeq: number;

  @Column('text')
  content: string;

  @Column('text')
  model: string;

  @Column({ type: 'timestamptz', name: 'created_at', precision: 3 })
  createdAt: Date;
}
