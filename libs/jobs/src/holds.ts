import type { EntityManager } from 'typeorm';
import { statement } from '#database/statement.js';
import { versionOf } from './definitions.js';
import type { JobFault } from './transitions.js';
import { STALE_HOLD_SECONDS } from './timings.js';

/*
 * Why workers do not call the model, for operators: the API shows these rows in an operator's view of a job and in its readiness. Each
 * worker decides by itself, from its own calls; these rows decide nothing.
 */

/** All calls (`all`), those of a model (`model:NAME`), or those for an assistant (`assistant:SLUG`). */
export type Scope = 'all' | `model:${string}` | `assistant:${string}`;

/** Why the calls are held, since when, and when the next probe begins. */
export interface Hold {
  readonly scope: Scope;
  readonly code: JobFault['code'];
  readonly message: string;
  readonly since: Date;
  readonly until: Date;
}

/** If two workers hold the same calls, the row keeps the later probe. The first worker that reaches the model again removes the row. */
const WRITE = `
  INSERT INTO model_holds (scope, code, message, until) VALUES ($1, $2, $3, now() + make_interval(secs => $4::float8 / 1000))
  ON CONFLICT (scope) DO UPDATE SET code = excluded.code, message = excluded.message,
    until = greatest(model_holds.until, excluded.until)`;

/** Writes a hold, or extends it by `ms` milliseconds. */
export async function writeHold(
  manager: EntityManager,
  { scope, code, message, ms }: Pick<Hold, 'scope' | 'code' | 'message'> & { ms: number },
): Promise<void> {
  await manager.query(WRITE, [scope, code, message, ms]);
}

/** Removes a hold: the model has answered. */
export async function removeHold(manager: EntityManager, scope: Scope): Promise<void> {
  await manager.query('DELETE FROM model_holds WHERE scope = $1', [scope]);
}

const FRESH = `until > now() - interval '${STALE_HOLD_SECONDS} seconds'`;

const READ = `
  SELECT scope, code, message, since, until FROM model_holds WHERE ${FRESH}
   ORDER BY (scope = 'all') DESC, scope`;

/** The holds in force, that of all calls first. */
export function readHolds(manager: EntityManager): Promise<Hold[]> {
  return manager.query<Hold[]>(READ);
}

/** Removes holds of dead workers. */
export async function purgeHolds(manager: EntityManager): Promise<void> {
  await manager.query(`DELETE FROM model_holds WHERE NOT (${FRESH})`);
}

const RELEASE = statement(`
  UPDATE jobs SET assistant_version = NULL
    FROM chats c
   WHERE c.id = jobs.chat_id AND jobs.status = 'queued' AND jobs.step = 0 AND jobs.assistant_version IS NOT NULL
     AND c.assistant_slug = ANY (:slugs::text[])
     AND EXISTS (
       SELECT FROM assistant_versions a JOIN model_holds h ON h.scope IN ('assistant:' || a.slug, 'model:' || a.model)
        WHERE a.slug = c.assistant_slug AND a.version = ${versionOf('jobs', 'c')})`);

/**
 * Moves turns of these assistants to the new definition, if they wait because the old model or its settings cannot be used.
 * @returns how many
 */
export function releaseHeld(manager: EntityManager, slugs: readonly string[]): Promise<number> {
  return RELEASE.affected(manager, { slugs });
}

const RELEASE_OUTDATED = statement(`
  UPDATE jobs SET assistant_version = NULL
    FROM chats c JOIN assistants a ON a.slug = c.assistant_slug
   WHERE c.id = jobs.chat_id AND jobs.status = 'queued' AND jobs.step = 0 AND jobs.assistant_version = :version
     AND a.slug = :slug AND a.version > :version`);

/**
 * Call this when a call has shown that this version of a definition cannot be used. If there is a newer version, the waiting turns take it,
 * so that they need not each fail first.
 */
export async function releaseOutdated(manager: EntityManager, slug: string, version: number): Promise<void> {
  await RELEASE_OUTDATED.affected(manager, { slug, version });
}

/** Whether a hold concerns jobs of this assistant and model. */
export function concerns(scope: Scope, { model, assistant }: { model: string; assistant: string }): boolean {
  return scope === 'all' || scope === `model:${model}` || scope === `assistant:${assistant}`;
}
