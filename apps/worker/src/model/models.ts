import Anthropic from '@anthropic-ai/sdk';
import { EFFORTS, type Effort, THINKING, type Thinking } from '#database/entities/assistant.entity.js';
import type { Largest } from './bounded-fetch.js';

/** The known facts about a model. A field is undefined if the server leaves it out. */
export interface KnownModel {
  readonly lifecycle: string | undefined;
  /** Days, as `2026-11-30`. */
  readonly deprecatedOn: string | undefined;
  readonly retiresOn: string | undefined;
  /** The largest `max_tokens` that it accepts. */
  readonly maxTokens: number | undefined;
  /** Its context, in tokens. */
  readonly maxInputTokens: number | undefined;
  /** Whether it can be held to a schema. */
  readonly structuredOutputs: boolean | undefined;
  readonly thinking: Readonly<Partial<Record<Thinking, boolean>>>;
  readonly effort: Readonly<Partial<Record<Effort, boolean>>>;
}

/** The models by the requested name. `unknown`: the server has no such model. A name is missing if its question got no answer. */
export type KnownModels = ReadonlyMap<string, KnownModel | 'unknown'>;

/** The server's answer is no list of models of the Messages API. */
export class NoModelList extends Error {
  override name = 'NoModelList';
}

/** Most bytes of an answer that are read. A page of a hundred models has about 100 KB. */
export const LARGEST_MODELS: Largest = { answer: 4 * 1024 * 1024, refusal: 64 * 1024 };
const MODELS_A_PAGE = 100;
const MOST_PAGES = 20;
/** Most names that are looked up one by one. */
const MOST_NAMES = 50;

/**
 * Asks the model's server for these models.
 *
 * The list has no aliases, and no retired models by default. So a name that the list lacks is looked up by itself, then among the retired
 * models, before it counts as unknown.
 *
 * @param signal ends the question
 * @throws NoModelList, or what the client throws when there is no list
 */
export async function askForModels(
  client: Anthropic,
  names: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<KnownModels> {
  const listed = await list(client, {}, signal);
  if (listed.size === 0) throw new NoModelList('the list has no models');
  const found = new Map<string, KnownModel | 'unknown'>();
  const missing: string[] = [];
  for (const name of names) {
    const model = listed.get(name);
    if (model === undefined) missing.push(name);
    else found.set(name, model);
  }
  for (const name of missing.slice(0, MOST_NAMES)) {
    const model = await retrieve(client, name, signal);
    if (model !== undefined) found.set(name, model);
  }
  const unknown = missing.filter((name) => found.get(name) === 'unknown');
  if (unknown.length === 0) return found;
  // A server without lifecycles may refuse this question or ignore the filter. Such a server has no retired models.
  const retired = await list(client, { lifecycle: ['retired'] }, signal).catch(() => new Map<string, KnownModel>());
  for (const name of unknown) found.set(name, retired.get(name) ?? 'unknown');
  return found;
}

async function list(
  client: Anthropic,
  params: Anthropic.ModelListParams,
  signal: AbortSignal,
): Promise<Map<string, KnownModel>> {
  const models = new Map<string, KnownModel>();
  const first = await client.models.list({ limit: MODELS_A_PAGE, ...params }, { signal });
  let pages = 0;
  for await (const page of first.iterPages()) {
    // A server that only resembles the API may send any answer: HTML looks like a page without models.
    if (!Array.isArray(page.data)) throw new NoModelList('the answer has no list');
    for (const entry of page.data) {
      const model = readModel(entry);
      if (model === undefined) throw new NoModelList('the list holds something else than models');
      models.set(entry.id, model);
    }
    if (++pages === MOST_PAGES) break;
  }
  return models;
}

/** @returns undefined when the server does not say */
async function retrieve(
  client: Anthropic,
  name: string,
  signal: AbortSignal,
): Promise<KnownModel | 'unknown' | undefined> {
  try {
    return readModel(await client.models.retrieve(name, {}, { signal }));
  } catch (error) {
    return error instanceof Anthropic.NotFoundError ? 'unknown' : undefined;
  }
}

/** A model of the server's list; undefined: the entry is not one. */
export function readModel(reported: unknown): KnownModel | undefined {
  const { type, id, lifecycle, deprecated_at, retires_at, max_tokens, max_input_tokens, capabilities } =
    fieldsOf(reported);
  if (type !== 'model' || typeof id !== 'string') return undefined;
  const { thinking, effort, structured_outputs } = fieldsOf(capabilities);
  const types = fieldsOf(fieldsOf(thinking)['types']);
  return {
    lifecycle: typeof lifecycle === 'string' ? lifecycle : undefined,
    deprecatedOn: dayOf(deprecated_at),
    retiresOn: dayOf(retires_at),
    maxTokens: limitOf(max_tokens),
    maxInputTokens: limitOf(max_input_tokens),
    structuredOutputs: supported(structured_outputs),
    thinking: {
      // `disabled` shows nothing: models without thinking accept it, too.
      ...(supported(thinking) === false && { adaptive: false }),
      ...supportedOf(THINKING, types),
    },
    effort:
      supported(effort) === false
        ? Object.fromEntries(EFFORTS.map((level) => [level, false]))
        : supportedOf(EFFORTS, fieldsOf(effort)),
  };
}

function supportedOf<Name extends string>(
  names: readonly Name[],
  reported: Readonly<Record<string, unknown>>,
): Partial<Record<Name, boolean>> {
  const known = names
    .map((name) => [name, supported(reported[name])] as const)
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as Partial<Record<Name, boolean>>;
}

/** True or false; undefined for any other value. */
function supported(capability: unknown): boolean | undefined {
  const { supported: value } = fieldsOf(capability);
  return typeof value === 'boolean' ? value : undefined;
}

/** A number of tokens. The list has none for some models. */
function limitOf(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined;
}

function dayOf(value: unknown): string | undefined {
  const at = typeof value === 'string' ? new Date(value) : undefined;
  return at === undefined || Number.isNaN(at.getTime()) ? undefined : at.toISOString().slice(0, 10);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
