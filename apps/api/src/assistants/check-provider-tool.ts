import type { ProviderTool } from '#database/entities/tool.js';
import { type Fields, listed } from './fields.js';
import { jsonFault } from './json-fault.js';

/**
 * The types of tools that the model's provider runs, and the name that each must have. Types that the provider leaves to its client (for
 * instance `bash_20250124`) are missing, since nobody here would run them.
 */
const NAMES: Readonly<Record<string, string>> = {
  web_search_: 'web_search',
  web_fetch_: 'web_fetch',
  code_execution_: 'code_execution',
  tool_search_tool_bm25: 'tool_search_tool_bm25',
  tool_search_tool_regex: 'tool_search_tool_regex',
};

/** Checks a tool of the model's provider. Its settings are the provider's, so only their form is checked. */
export function checkProviderTool(fields: Fields): ProviderTool | undefined {
  const { type, name, ...settings } = fields.values;
  const prefix = typeof type === 'string' ? Object.keys(NAMES).find((known) => type.startsWith(known)) : undefined;
  if (typeof type !== 'string' || !/^\w{1,64}$/.test(type) || prefix === undefined) {
    fields.fault('type', `must begin with ${listed(Object.keys(NAMES))}: the provider runs no other tools`);
    return undefined;
  }
  const demanded = NAMES[prefix] as string;
  if (name !== undefined && name !== demanded) fields.fault('name', `must be ${demanded}, as this type has it`);
  for (const [setting, value] of Object.entries(settings)) {
    const fault = jsonFault(value);
    if (fault !== undefined) fields.fault(setting, fault);
  }
  return { ...settings, run: 'provider', type, name: demanded };
}
