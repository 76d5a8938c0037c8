import { SLUG } from '#contract/slug.js';
import { type Effort, EFFORTS, THINKING, type Thinking } from '#database/entities/assistant.entity.js';
import type { Tool } from '#database/entities/tool.js';
import { checkTools } from './check-tools.js';
import type { Checking } from './checking.js';
import type { Fields } from './fields.js';

/** One assistant as `ASSISTANTS_FILE` defines it. The fields that are stored have the names of their columns. */
export interface AssistantDefinition {
  readonly slug: string;
  readonly name: string;
  readonly description: string;
  readonly system_prompt: string;
  readonly welcome_message: string;
  readonly model: string;
  /** Most tokens of one reply, thinking included. */
  readonly max_output_tokens: number;
  /** How the model thinks; left out: its default. */
  readonly thinking?: Thinking;
  /** How much effort the model makes; left out: its default. */
  readonly effort?: Effort;
  /** The tools that the file defines. Those of MCP servers are added when the servers have listed them. */
  readonly tools: readonly Tool[];
  /** The names of MCP servers whose tools the assistant has. */
  readonly mcp_servers: readonly string[];
  /** Most calls of the model in one turn. */
  readonly max_steps: number;
  /** How long a turn waits for a person, in seconds. */
  readonly action_seconds: number;
  /** Days that a chat is kept after its last message; left out: for ever. */
  readonly retention_days?: number;
}

const TEXTS = {
  name: 100,
  description: 500,
  system_prompt: 100_000,
  welcome_message: 4_000,
  model: 200,
};
const NUMBERS = ['max_output_tokens', 'max_steps', 'action_timeout_seconds', 'retention_days'];
const KNOWN = ['slug', ...Object.keys(TEXTS), ...NUMBERS, 'thinking', 'effort', 'tools', 'mcp_servers'];

/** The default leaves room for the thoughts of a model, which count as well. */
const DEFAULT_MAX_OUTPUT_TOKENS = 8192;
const LARGEST_MAX_OUTPUT_TOKENS = 128_000;
/** A hundred years. */
const LONGEST_RETENTION_DAYS = 36_500;
const MOST_STEPS = 64;
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
  const max_output_tokens = fields.integer(
    'max_output_tokens',
    1,
    LARGEST_MAX_OUTPUT_TOKENS,
    DEFAULT_MAX_OUTPUT_TOKENS,
  );
  const definition: AssistantDefinition = {
    slug: slug as string,
    ...(texts as Record<keyof typeof TEXTS, string>),
    max_output_tokens,
    ...(fields.has('thinking') && { thinking: fields.choice('thinking', THINKING) }),
    ...(fields.has('effort') && { effort: fields.choice('effort', EFFORTS) }),
    ...(fields.has('retention_days') && {
      retention_days: fields.integer('retention_days', 1, LONGEST_RETENTION_DAYS),
    }),
    tools: checkTools(fields, checking),
    mcp_servers: checkServerNames(fields, servers),
    max_steps: fields.integer('max_steps', 1, MOST_STEPS, DEFAULT_STEPS),
    action_seconds: fields.integer('action_timeout_seconds', SHORTEST_ACTION, LONGEST_ACTION, DEFAULT_ACTION),
  };
  fields.only(KNOWN);
  return definition;
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
