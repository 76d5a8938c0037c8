import type { Definition } from '#database/entities/assistant-version.entity.js';

/*
 * The definition with which a job was accepted answers it, in every attempt and step, even if the assistants file changes meanwhile. A
 * version of a definition never changes, so a worker reads each once.
 */

/** SQL: the version that answers the job `job` of the chat `chat`. A job without one (see `jobs.assistant_version`) takes the current one. */
export const versionOf = (job: string, chat: string): string =>
  `coalesce(${job}.assistant_version, (SELECT current.version FROM assistants current WHERE current.slug = ${chat}.assistant_slug))`;

/** Most definitions that a worker keeps. */
const MOST_KEPT = 200;

/** The definitions that a worker has read, by slug and version. */
export class Definitions {
  private readonly kept = new Map<string, Definition>();

  /** The definitions that the worker has now. A claim gets their names, and does not send them again. */
  known(): ReadonlyMap<string, Definition> {
    return new Map(this.kept);
  }

  /** Keeps a definition that the worker uses, and drops the least recently used ones. */
  use(name: string, definition: Definition): void {
    this.kept.delete(name);
    this.kept.set(name, definition);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MOST_KEPT) return;
      this.kept.delete(oldest);
    }
  }
}
