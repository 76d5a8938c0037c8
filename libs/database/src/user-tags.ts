import { createHmac } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { oneRow } from './rows.js';

/** Most users whose tags are cached. A tag costs more than the rest of a log line. */
const MOST_KEPT = 10_000;

/**
 * Users' tags in the log. A user has the same tag in every process on this database, and a tag does not show the user's id. Ids are often
 * e-mail addresses or consecutive numbers, so a plain hash could be guessed. A tag is a keyed hash (HMAC-SHA-256, RFC 2104), cut to 64
 * bits, and only the database has the key.
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

  /** The user's tag in the log. */
  tagOf(userId: string): string {
    const kept = this.kept.get(userId);
    if (kept !== undefined) return kept;
    const tag = createHmac('sha256', this.key).update(userId).digest('base64url').slice(0, 11);
    if (this.kept.size >= MOST_KEPT) this.kept.clear();
    this.kept.set(userId, tag);
    return tag;
  }
}
