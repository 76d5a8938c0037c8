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

/** The definitions that a worker had when a claim began. */
export interface KnownDefinitions {
  readonly names: readonly string[];
  readonly definitions: ReadonlyMap<string, Definition>;
}

/** The definitions that a worker has read, by slug and version. */
export class Definitions {
  private readonly kept = new Map<string, Definition>();
  /** A copy of `kept`, for claims under way: they may need a definition that is dropped meanwhile. Undefined: `kept` has others. */
  private copy: KnownDefinitions | undefined;

  /** The definitions that the worker has now. A claim gets their names, and does not send them again. */
  known(): KnownDefinitions {
    return (this.copy ??= { names: [...this.kept.keys()], definitions: new Map(this.kept) });
  }

  /** Keeps a definition that the worker uses, and drops the least recently used ones. */
  use(name: string, definition: Definition): void {
    if (!this.kept.delete(name)) this.copy = undefined;
    this.kept.set(name, definition);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MOST_KEPT) return;
      this.kept.delete(oldest);
    }
  }
}
