import { createHmac } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { oneRow } from './rows.js';

/** Users whose tags are kept at most; a tag costs more than all else about a line of the log. */
const MOST_KEPT = 10_000;

/**
 * How users stand in the log: the same for the same user, in every process on this database, and nobody's name. Ids of users are
 * often e-mail addresses or numbers in a row, so a hash of one would be guessed in no time; this is one under a key (HMAC-SHA-256,
 * RFC 2104) that is nowhere but in the database, cut to 64 bits.
 */
@Injectable()
export class UserTags implements OnModuleInit {
  private key: Buffer;
  private readonly kept = new Map<string, string>();

  constructor(private readonly manager: EntityManager) {}

  async onModuleInit(): Promise<void> {
    const { key } = oneRow(await this.manager.query<{ key: Buffer }[]>('SELECT log_key AS key FROM deployment'));
    this.key = key;
  }

  /** The user as the log has it. */
  tagOf(userId: string): string {
    const kept = this.kept.get(userId);
    if (kept !== undefined) return kept;
    const tag = createHmac('sha256', this.key).update(userId).digest('base64url').slice(0, 11);
    if (this.kept.size >= MOST_KEPT) this.kept.clear();
    this.kept.set(userId, tag);
    return tag;
  }
}
