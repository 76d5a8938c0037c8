import { SLUG } from '#contract/slug.js';
import type { Tool } from '#database/entities/tool.js';
import { checkModelSettings, MODEL_FIELDS, type ModelSettings } from './check-model-settings.js';
import { checkTools } from './check-tools.js';
import type { Checking } from './checking.js';
import type { Fields } from './fields.js';

/** One assistant as `ASSISTANTS_FILE` defines it. The fields that are stored have the names of their columns. */
export interface AssistantDefinition extends ModelSettings {
  readonly slug: string;
  readonly name: string;
  readonly description: string;
  readonly system_prompt: string;
  readonly welcome_message: string;
  /** The tools that the file defines. Those of MCP servers are added when the servers have listed them. */
  readonly tools: readonly Tool[];
  /** The names of MCP servers whose tools the assistant has. */
  readonly mcp_servers: readonly string[];
  /** Most calls of the model in one turn. */
  readonly max_steps: number;
  /** How long a turn waits for a person, in seconds. */
  readonly action_seconds: number;
  /** The most that the replies of a day may cost, in the currency of the prices; left out: there is no bound. */
  readonly cost_per_day?: number;
  /** Days that a chat is kept after its last message; left out: for ever. */
  readonly retention_days?: number;
}

const TEXTS = {
  name: 100,
  description: 500,
  system_prompt: 100_000,
  welcome_message: 4_000,
};
const NUMBERS = ['max_steps', 'action_timeout_seconds', 'cost_per_day', 'retention_days'];
const KNOWN = ['slug', ...Object.keys(TEXTS), ...MODEL_FIELDS, ...NUMBERS, 'tools', 'mcp_servers'];

/** A hundred years. */
const LONGEST_RETENTION_DAYS = 36_500;
const MOST_STEPS = 64;
/** No ordinary text has longer tokens, on average, in bytes. */
const LARGEST_TOKEN = 8;
const DEFAULT_STEPS = 16;
/** From a minute to thirty days, in seconds; a day by default. */
const SHORTEST_ACTION = 60;
const LONGEST_ACTION = 2_592_000;
const DEFAULT_ACTION = 86_400;

/** Checks an assistant. The definition means nothing if there are faults. @param servers the names of MCP servers that the file defines */
export function checkAssistant(fields: Fields, servers: readonly string[], checking: Checking): AssistantDefinition {
  const { slug } = fields.values;
  if (typeof slug !== 'string' || !SLUG.test(slug)) {
    fields.fault('slug', 'must be a lower-case name of a-z, 0-9 and dashes');
  }
  const texts = Object.fromEntries(Object.entries(TEXTS).map(([name, max]) => [name, fields.text(name, max)]));
  const definition: AssistantDefinition = {
    slug: slug as string,
    ...(texts as Record<keyof typeof TEXTS, string>),
    ...checkModelSettings(fields, checking),
    ...(fields.has('cost_per_day') && { cost_per_day: fields.amount('cost_per_day') }),
    ...(fields.has('retention_days') && {
      retention_days: fields.integer('retention_days', 1, LONGEST_RETENTION_DAYS),
    }),
    tools: checkTools(fields, checking),
    mcp_servers: checkServerNames(fields, servers),
    max_steps: fields.integer('max_steps', 1, MOST_STEPS, DEFAULT_STEPS),
    action_seconds: fields.integer('action_timeout_seconds', SHORTEST_ACTION, LONGEST_ACTION, DEFAULT_ACTION),
  };
  checkRoom(fields, definition);
  fields.only(KNOWN);
  return definition;
}

/** A prompt is never smaller than the system prompt. */
function checkRoom(fields: Fields, { system_prompt: words, context_tokens: most }: AssistantDefinition): void {
  if (typeof words === 'string' && Buffer.byteLength(words) > most * LARGEST_TOKEN) {
    fields.fault('context_tokens', 'is too small: `system_prompt` alone has more tokens');
  }
}

function checkServerNames(fields: Fields, servers: readonly string[]): string[] {
  const names = fields.list('mcp_servers', Infinity);
  names.forEach((name, n) => {
    const fault = (words: string): void => fields.faults.add([...fields.path, 'mcp_servers', n], words);
    if (typeof name !== 'string' || !servers.includes(name))
      fault('is no server of `mcp_servers` at the top of the file');
    else if (names.indexOf(name) < n) fault('is there twice');
  });
  return names as string[];
}
