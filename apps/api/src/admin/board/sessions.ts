import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { oneRow } from '#database/rows.js';

/** How long a link is good, and what it opens lasts at most, in seconds. */
const LINK_SECONDS = 60;
const LONGEST_SECONDS = 60 * 60;

/** A secret that was just made, and until when it is good. */
export interface Grant {
  readonly secret: string;
  readonly until: Date;
}

const CREATE = `
  WITH gone AS (
    DELETE FROM admin_sessions WHERE expires_at < now() OR link_until < now()
  ), session AS (
    INSERT INTO admin_sessions (secret_hash, user_id, link_until, expires_at)
    SELECT $1, $2, least(now() + make_interval(secs => ${LINK_SECONDS}), until.moment), until.moment
      FROM (SELECT least(now() + make_interval(secs => ${LONGEST_SECONDS}), $3::timestamptz) AS moment) AS until
    RETURNING link_until
  )
  SELECT link_until AS until FROM session`;

/** The link is good once: the row goes on under the cookie's secret. */
const OPEN = `
  WITH session AS (
    UPDATE admin_sessions SET secret_hash = $2, link_until = NULL WHERE secret_hash = $1 AND link_until > now()
    RETURNING user_id, expires_at
  )
  SELECT user_id AS "userId", expires_at AS until FROM session`;

const FIND = `
  SELECT user_id AS "userId" FROM admin_sessions WHERE secret_hash = $1 AND link_until IS NULL AND expires_at > now()`;

/**
 * Browsers' leaves to see the board. They are rows, so that a link is good once, and on any instance; of the secrets only the
 * hashes are kept.
 */
@Injectable()
export class BoardSessions {
  constructor(private readonly manager: EntityManager) {}

  /** Makes a link's secret for the operator, whose token ends at `tokenEnds` (milliseconds since the epoch). */
  async create(userId: string, tokenEnds: number): Promise<Grant> {
    const secret = newSecret();
    const ends = new Date(Math.min(tokenEnds, Date.now() + LONGEST_SECONDS * 1_000));
    const { until } = oneRow(await this.manager.query<{ until: Date }[]>(CREATE, [hashOf(secret), userId, ends]));
    return { secret, until };
  }

  /** Changes a link's secret for a cookie's. `undefined` when it was never good, or is no longer. */
  async open(link: string): Promise<(Grant & { readonly userId: string }) | undefined> {
    const secret = newSecret();
    const [row] = await this.manager.query<{ userId: string; until: Date }[]>(OPEN, [hashOf(link), hashOf(secret)]);
    return row && { secret, ...row };
  }

  /** Whether a cookie's secret is good. */
  async isOpen(secret: string): Promise<boolean> {
    return (await this.manager.query<unknown[]>(FIND, [hashOf(secret)])).length > 0;
  }
}

const newSecret = (): string => randomBytes(32).toString('base64url');
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
