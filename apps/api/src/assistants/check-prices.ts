import { textFault } from '#contract/text.js';
import { Fields } from './fields.js';

/** The price of a million tokens of a model. */
export interface ModelPrice {
  readonly input: number;
  readonly output: number;
  readonly cache_read: number;
  readonly cache_write_5m: number;
  readonly cache_write_1h: number;
  /** The price of one request of a provider's tool, by its name in the model's usage. */
  readonly server_tools: Readonly<Record<string, number>>;
}

/** The prices of the file. */
export interface Prices {
  /** For instance `USD`. */
  readonly currency: string;
  readonly models: ReadonlyMap<string, ModelPrice>;
}

const CURRENCY = /^[A-Z]{3}$/;
const TOOL_NAME = /^\w{1,100}$/;
const MOST_MODELS = 1_000;
const LONGEST_NAME = 200;
const OF_TOKENS = ['input', 'output', 'cache_read', 'cache_write_5m', 'cache_write_1h'];

/**
 * Parts of the price of input, as most models have them: https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing. Reads
 * cost less with some models, so their prices say so.
 */
const CACHE_READ = 0.1;
const CACHE_WRITE_5M = 1.25;
const CACHE_WRITE_1H = 2;

/** Checks `prices`, at the top of the file. @returns undefined: the file has none */
export function checkPrices(top: Fields): Prices | undefined {
  if (!top.has('prices')) return undefined;
  const fields = Fields.of(top.values['prices'], ['prices'], top.faults);
  if (fields === undefined) return undefined;
  const { currency } = fields.values;
  if (typeof currency !== 'string' || !CURRENCY.test(currency)) {
    fields.fault('currency', 'must be the three letters of a currency, for instance USD');
  }
  fields.only(['currency', 'models']);
  const models = Fields.of(fields.values['models'], ['prices', 'models'], top.faults);
  if (Object.keys(models?.values ?? {}).length > MOST_MODELS)
    fields.fault('models', `must have at most ${MOST_MODELS} entries`);
  const prices = new Map<string, ModelPrice>();
  for (const name of Object.keys(models?.values ?? {})) {
    const fault = textFault(name, 1, LONGEST_NAME);
    if (fault !== undefined) models?.fault(name, `is no name of a model: it ${fault}`);
    const price = Fields.of(models?.values[name], ['prices', 'models', name], top.faults);
    if (price !== undefined) prices.set(name, checkPrice(price));
  }
  return { currency: currency as string, models: prices };
}

function checkPrice(fields: Fields): ModelPrice {
  const input = fields.price('input');
  fields.only([...OF_TOKENS, 'server_tools']);
  return {
    input,
    output: fields.price('output'),
    cache_read: fields.price('cache_read', input * CACHE_READ),
    cache_write_5m: fields.price('cache_write_5m', input * CACHE_WRITE_5M),
    cache_write_1h: fields.price('cache_write_1h', input * CACHE_WRITE_1H),
    server_tools: checkServerTools(fields),
  };
}

function checkServerTools(fields: Fields): Record<string, number> {
  if (!fields.has('server_tools')) return {};
  const tools = Fields.of(fields.values['server_tools'], [...fields.path, 'server_tools'], fields.faults);
  const names = Object.keys(tools?.values ?? {});
  for (const name of names)
    if (!TOOL_NAME.test(name)) tools?.fault(name, 'is no name of requests in the usage of a model');
  return Object.fromEntries(names.map((name) => [name, tools?.price(name) ?? 0]));
}
