import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { SLUG } from '#contract/slug.js';
import { textFault } from '#contract/text.js';
import { type Effort, EFFORTS, THINKING, type Thinking } from '#database/entities/assistant.entity.js';
import { StartFault } from '#errors/start-fault.js';

/** One assistant as `ASSISTANTS_FILE` defines it. */
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
  /** Days that a chat is kept after its last message; left out: for ever. */
  readonly retention_days?: number;
}

/** All faults of the file, each with its entry. */
export class AssistantsFileError extends StartFault {
  constructor(path: string, faults: readonly string[]) {
    super(`ASSISTANTS_FILE ${path} cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

const TEXTS: Readonly<Record<string, number>> = {
  name: 100,
  description: 500,
  system_prompt: 100_000,
  welcome_message: 4_000,
  model: 200,
};
const WORDS: Readonly<Record<string, readonly string[]>> = { thinking: THINKING, effort: EFFORTS };
const KNOWN = new Set(['slug', 'max_output_tokens', 'retention_days', ...Object.keys(TEXTS), ...Object.keys(WORDS)]);
/** The default leaves room for the thoughts of a model, which count as well. */
const DEFAULT_MAX_OUTPUT_TOKENS = 8192;
const LARGEST_MAX_OUTPUT_TOKENS = 128_000;
/** A hundred years. */
const LONGEST_RETENTION_DAYS = 36_500;

/**
 * Reads the definitions.
 * @throws AssistantsFileError when the file is missing, is not YAML, or defines nothing usable.
 */
export async function readAssistantsFile(path: string): Promise<AssistantDefinition[]> {
  let document: unknown;
  try {
    document = parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new AssistantsFileError(path, [firstLine(error)]);
  }
  const { definitions, faults } = checkAssistants(document);
  if (faults.length > 0) throw new AssistantsFileError(path, faults);
  return definitions;
}

/** The message of a fault, without the place that the parser shows below it: that may be a system prompt. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}

/** Checks a parsed file. It reads nothing, so that tests can check its messages. */
export function checkAssistants(document: unknown): { definitions: AssistantDefinition[]; faults: string[] } {
  const faults: string[] = [];
  const definitions: AssistantDefinition[] = [];
  const list = (document as { assistants?: unknown } | null)?.assistants;
  if (!Array.isArray(list) || list.length === 0)
    return { definitions, faults: ['`assistants` must be a list with entries.'] };

  list.forEach((entry: unknown, index) => {
    if (typeof entry !== 'object' || entry === null) {
      faults.push(`entry ${index + 1} must be a mapping.`);
      return;
    }
    const fields = entry as Record<string, unknown>;
    const where = typeof fields['slug'] === 'string' ? `"${fields['slug']}"` : `entry ${index + 1}`;
    const before = faults.length;
    if (typeof fields['slug'] !== 'string' || !SLUG.test(fields['slug'])) {
      faults.push(`${where}: slug must be a lower-case name of a-z, 0-9 and dashes.`);
    } else if (definitions.some(({ slug }) => slug === fields['slug'])) {
      faults.push(`${where}: is defined twice.`);
    }
    for (const [name, max] of Object.entries(TEXTS)) {
      const fault = textFault(fields[name], 1, max);
      if (fault) faults.push(`${where}: ${name} ${fault}.`);
    }
    const tokens = fields['max_output_tokens'] ?? DEFAULT_MAX_OUTPUT_TOKENS;
    if (!isWholeNumber(tokens, LARGEST_MAX_OUTPUT_TOKENS)) {
      faults.push(`${where}: max_output_tokens must be a whole number from 1 to ${LARGEST_MAX_OUTPUT_TOKENS}.`);
    }
    for (const [name, words] of Object.entries(WORDS)) {
      const value = fields[name];
      if (value !== undefined && !words.includes(value as string))
        faults.push(`${where}: ${name} must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}.`);
    }
    const days = fields['retention_days'];
    if (days !== undefined && !isWholeNumber(days, LONGEST_RETENTION_DAYS)) {
      faults.push(`${where}: retention_days must be a whole number from 1 to ${LONGEST_RETENTION_DAYS}.`);
    }
    for (const name of Object.keys(fields)) if (!KNOWN.has(name)) faults.push(`${where}: ${name} is not known.`);
    if (faults.length === before)
      definitions.push({ ...(fields as unknown as AssistantDefinition), max_output_tokens: tokens as number });
  });
  return { definitions, faults };
}

function isWholeNumber(value: unknown, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max;
}
