/** The idempotency key of a request. */
export interface RequestKey {
  readonly key: string;
  /** SHA-256 of the request. */
  readonly fingerprint: Buffer;
}

/** The values of a statement that stores a key. Both are null if the request has no key. */
export function keyValues(request: RequestKey | undefined): { key: string | null; fingerprint: Buffer | null } {
  return { key: request?.key ?? null, fingerprint: request?.fingerprint ?? null };
}

/** SQL: the user (`userId`) has already used the key (`key`), as far as the statement can see. */
export const KEY_IS_KEPT = 'EXISTS (SELECT FROM idempotency_keys k WHERE k.user_id = :userId AND k.key = :key)';

/**
 * SQL: stores a key with its effect, in the statement that makes the effect. If a twin request stores the key at the same moment, the later
 * statement breaks `idempotency_keys_pkey` (see {@link isKeyConflict}) and is rolled back. The values are `userId` and those of
 * {@link keyValues}.
 */
export function keepKey(effect: { column: 'job_id' | 'message_id' | 'chat'; value: string; from: string }): string {
  return `
    INSERT INTO idempotency_keys (user_id, key, fingerprint, ${effect.column}, created)
    SELECT :userId, :key, :fingerprint, ${effect.value}, true FROM ${effect.from} WHERE :key::text IS NOT NULL`;
}

/** Whether a statement failed because a twin request was quicker. */
export function isKeyConflict(error: unknown): boolean {
  return breaks(error, 'idempotency_keys_pkey');
}

/** Whether a statement failed because it would break this unique index. */
export function breaks(error: unknown, constraint: string): boolean {
  const driver = (error as { driverError?: { code?: string; constraint?: string } }).driverError;
  return driver?.code === '23505' && driver.constraint === constraint;
}
