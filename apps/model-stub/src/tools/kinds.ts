/** A type of tool that the API defines itself, named by `type`. */
export interface Kind {
  /** The only name that such a tool may have; undefined: it is a set of tools and has no name. */
  readonly name: string | undefined;
  /** Whether the API runs it. A client runs the others. */
  readonly server: boolean;
}

const VERSIONS: readonly (readonly [name: string | undefined, server: boolean, types: string])[] = [
  ['web_search', true, 'web_search_20250305 web_search_20260209 web_search_20260318'],
  ['web_fetch', true, 'web_fetch_20250910 web_fetch_20260209 web_fetch_20260309 web_fetch_20260318'],
  [
    'code_execution',
    true,
    'code_execution_20250522 code_execution_20250825 code_execution_20260120 code_execution_20260521',
  ],
  ['tool_search_tool_bm25', true, 'tool_search_tool_bm25 tool_search_tool_bm25_20251119'],
  ['tool_search_tool_regex', true, 'tool_search_tool_regex tool_search_tool_regex_20251119'],
  ['bash', false, 'bash_20250124'],
  ['memory', false, 'memory_20250818'],
  ['str_replace_editor', false, 'text_editor_20250124'],
  ['str_replace_based_edit_tool', false, 'text_editor_20250429 text_editor_20250728'],
  [undefined, false, 'browser_toolset_20260801 computer_toolset_20260801'],
];

/** The API's own tools by their `type`. */
export const KINDS: ReadonlyMap<string, Kind> = new Map(
  VERSIONS.flatMap(([name, server, types]) => types.split(' ').map((type) => [type, { name, server }] as const)),
);
