import type { JsonSchema } from '#tools/json-schema.js';
import type { Faults, Path } from './faults.js';

/** The state that all checks of one file share. */
export interface Checking {
  readonly faults: Faults;
  /** The environment, whose variables the file may name (default: the process's). */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Schemas that the compiler of schemas still has to check. */
  readonly schemas: { readonly path: Path; readonly schema: JsonSchema }[];
}
