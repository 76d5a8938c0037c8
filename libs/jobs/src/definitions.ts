import type { Definition } from '#database/entities/assistant-version.entity.js';

/*
 * A job is answered by the definition with which it was accepted, on every attempt and step, whatever the assistants file says meanwhile. A
 * definition never changes, so a worker reads each once.
 */

/** SQL: the version that answers the job `job` of the chat `chat`. A job without one (see `jobs.assistant_version`) takes the current one. */
export const versionOf = (job: string, chat: string): string =>
  `coalesce(${job}.assistant_version, (SELECT current.version FROM assistants current WHERE current.slug = ${chat}.assistant_slug))`;

/** Most definitions that a worker keeps. */
const MOST_KEPT = 200;

/** The definitions that a worker has read, by slug and version. */
export class Definitions {
  private readonly kept = new Map<string, Definition>();

  /** Those it has at this moment. A claim that is given their names does not send them again. */
  known(): ReadonlyMap<string, Definition> {
    return new Map(this.kept);
  }

  /** Keeps a definition that was used, and forgets the least recently used ones. */
  use(name: string, definition: Definition): void {
    this.kept.delete(name);
    this.kept.set(name, definition);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MOST_KEPT) return;
      this.kept.delete(oldest);
    }
  }
}
