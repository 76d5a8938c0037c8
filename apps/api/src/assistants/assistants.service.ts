import { Injectable, Logger } from '@nestjs/common';
import { EntityManager, IsNull } from 'typeorm';
import { Assistant } from '#database/entities/assistant.entity.js';
import { releaseHeld } from '#jobs/holds.js';
import { notFound } from '#errors/service-error.js';
import type { AssistantDefinition } from './assistants-file.js';

const LOAD = `
  INSERT INTO assistants (slug, name, description, system_prompt, welcome_message, model, max_output_tokens, thinking, effort,
                          retention_days)
  SELECT d.slug, d.name, d.description, d.system_prompt, d.welcome_message, d.model, d.max_output_tokens, d.thinking, d.effort,
         d.retention_days
    FROM jsonb_to_recordset($1::jsonb) AS d (slug text, name text, description text, system_prompt text,
                                             welcome_message text, model text, max_output_tokens integer, thinking text, effort text,
                                             retention_days integer)
  ON CONFLICT (slug) DO UPDATE SET
    name = excluded.name, description = excluded.description, system_prompt = excluded.system_prompt,
    welcome_message = excluded.welcome_message, model = excluded.model,
    max_output_tokens = excluded.max_output_tokens, thinking = excluded.thinking, effort = excluded.effort,
    retention_days = excluded.retention_days,
    version = assistants.version + 1, retired_at = NULL
  WHERE (assistants.name, assistants.description, assistants.system_prompt, assistants.welcome_message,
         assistants.model, assistants.max_output_tokens, assistants.thinking, assistants.effort, assistants.retention_days,
         assistants.retired_at)
        IS DISTINCT FROM
        (excluded.name, excluded.description, excluded.system_prompt, excluded.welcome_message,
         excluded.model, excluded.max_output_tokens, excluded.thinking, excluded.effort, excluded.retention_days,
         NULL::timestamptz)
  RETURNING slug, version`;

@Injectable()
export class AssistantsService {
  private readonly logger = new Logger(AssistantsService.name);

  constructor(private readonly manager: EntityManager) {}

  /**
   * Loads the definitions: new ones are added, changed ones get the next version, missing ones are retired. A turn is answered with the
   * definition at the time of its acceptance, unless that cannot be used and the turn waits.
   */
  async load(definitions: readonly AssistantDefinition[]): Promise<void> {
    const { changed, released } = await this.manager.transaction(async (manager) => {
      // Processes that start at once with different files load them one after the other.
      await manager.query('LOCK TABLE assistants IN SHARE ROW EXCLUSIVE MODE');
      await manager.query(
        'UPDATE assistants SET retired_at = now() WHERE retired_at IS NULL AND NOT (slug = ANY ($1))',
        [definitions.map(({ slug }) => slug)],
      );
      const changed = await manager.query<{ slug: string; version: number }[]>(LOAD, [JSON.stringify(definitions)]);
      const slugs = changed.map(({ slug }) => slug);
      return { changed, released: slugs.length === 0 ? 0 : await releaseHeld(manager, slugs) };
    });
    for (const { slug, version } of changed) this.logger.log(`assistant ${slug} is at version ${version}`);
    if (released > 0) this.logger.log(`${released} turns that waited for an operator take the new definition`);
  }

  /** The assistants on offer, by slug. */
  list(): Promise<Assistant[]> {
    return this.manager.find(Assistant, { where: { retiredAt: IsNull() }, order: { slug: 'ASC' } });
  }

  /** @throws ServiceError `not_found` */
  async get(slug: string): Promise<Assistant> {
    const assistant = await this.manager.findOneBy(Assistant, { slug, retiredAt: IsNull() });
    if (assistant === null) throw notFound('assistant');
    return assistant;
  }
}
