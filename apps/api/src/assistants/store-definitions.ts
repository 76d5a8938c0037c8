import type { EntityManager } from 'typeorm';
import type { Tool } from '#database/entities/tool.js';
import type { AssistantDefinition } from './check-assistant.js';

/** A definition whose tools include those of its MCP servers. */
export type StoredDefinition = Omit<AssistantDefinition, 'mcp_servers'>;

/** The columns of `assistants` that a definition sets, besides `slug` and `tools`. */
const COLUMNS = {
  name: 'text',
  description: 'text',
  system_prompt: 'text',
  welcome_message: 'text',
  model: 'text',
  max_output_tokens: 'integer',
  thinking: 'text',
  effort: 'text',
  show_reasoning: 'boolean',
  max_steps: 'smallint',
  action_seconds: 'integer',
  output_schema: 'jsonb',
  stop_sequences: 'jsonb',
  cache_ttl: 'text',
  context_tokens: 'integer',
  compaction: 'text',
  fallback_model: 'text',
  cost_per_day: 'numeric',
  retention_days: 'integer',
};
const NAMES = Object.keys(COLUMNS);
const ALL = [...NAMES, 'tools'];
const of = (table: string, names: readonly string[]): string => names.map((name) => `${table}.${name}`).join(', ');

const GIVEN = `jsonb_to_recordset($1::jsonb)
  AS d (slug text, tools jsonb, ${Object.entries(COLUMNS)
    .map((column) => column.join(' '))
    .join(', ')})`;

const STORE = `
  INSERT INTO assistants (slug, ${ALL.join(', ')}) SELECT d.slug, ${of('d', ALL)} FROM ${GIVEN}
  ON CONFLICT (slug) DO UPDATE SET
    ${ALL.map((name) => `${name} = excluded.${name}`).join(', ')}, version = assistants.version + 1, retired_at = NULL
  WHERE (${of('assistants', ALL)}, assistants.retired_at) IS DISTINCT FROM (${of('excluded', ALL)}, NULL::timestamptz)
  RETURNING slug, version`;

/** Stores definitions: new ones, and changed ones as the next version. @returns those that were stored */
export function storeDefinitions(
  manager: EntityManager,
  definitions: readonly StoredDefinition[],
): Promise<{ slug: string; version: number }[]> {
  return manager.query(STORE, [JSON.stringify(definitions)]);
}

const TOOLS = `SELECT slug, tools FROM assistants WHERE slug = ANY ($1)`;

/** The tools of the current definitions, by slug. Retired assistants have them, too. */
export async function storedTools(
  manager: EntityManager,
  slugs: readonly string[],
): Promise<Map<string, readonly Tool[]>> {
  const rows = await manager.query<{ slug: string; tools: readonly Tool[] }[]>(TOOLS, [slugs]);
  return new Map(rows.map(({ slug, tools }) => [slug, tools]));
}

const UNCHANGED = `
  SELECT d.slug FROM ${GIVEN} JOIN assistants a ON a.slug = d.slug
   WHERE a.retired_at IS NULL AND (${of('a', NAMES)}) IS NOT DISTINCT FROM (${of('d', NAMES)})
     AND jsonb_path_query_array(a.tools, '$[*] ? (@.run != "mcp")') = d.tools`;

/** The slugs of the definitions that are still on offer as the file has them. Tools of MCP servers are not compared. */
export async function stillOffered(
  manager: EntityManager,
  definitions: readonly AssistantDefinition[],
): Promise<Set<string>> {
  const rows = await manager.query<{ slug: string }[]>(UNCHANGED, [JSON.stringify(definitions)]);
  return new Set(rows.map(({ slug }) => slug));
}
