import { Fields } from './fields.js';

/** What a million tokens of a model cost. */
export interface ModelPrice {
  readonly input: number;
  readonly output: number;
  readonly cache_read: number;
  readonly cache_write_5m: number;
  readonly cache_write_1h: number;
  /** What one request of a tool of the provider costs, by its name in the model's usage. */
  readonly server_tools: Readonly<Record<string, number>>;
}

/** The prices of the file. */
export interface Prices {
  /** For instance `USD`. */
  readonly currency: string;
  readonly models: ReadonlyMap<string, ModelPrice>;
}

const CURRENCY = /^[A-Z]{3}$/;
const OF_TOKENS = ['input', 'output', 'cache_read', 'cache_write_5m', 'cache_write_1h'];

/** Parts of the price of input, as the provider has them for all its models. */
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
  const prices = new Map<string, ModelPrice>();
  for (const name of Object.keys(models?.values ?? {})) {
    const price = Fields.of(models?.values[name], ['prices', 'models', name], top.faults);
    if (price !== undefined) prices.set(name, checkPrice(price));
  }
  return { currency: currency as string, models: prices };
}

function checkPrice(fields: Fields): ModelPrice {
  const input = fields.amount('input');
  fields.only([...OF_TOKENS, 'server_tools']);
  return {
    input,
    output: fields.amount('output'),
    cache_read: fields.amount('cache_read', input * CACHE_READ),
    cache_write_5m: fields.amount('cache_write_5m', input * CACHE_WRITE_5M),
    cache_write_1h: fields.amount('cache_write_1h', input * CACHE_WRITE_1H),
    server_tools: checkServerTools(fields),
  };
}

function checkServerTools(fields: Fields): Record<string, number> {
  if (!fields.has('server_tools')) return {};
  const tools = Fields.of(fields.values['server_tools'], [...fields.path, 'server_tools'], fields.faults);
  return Object.fromEntries(Object.keys(tools?.values ?? {}).map((name) => [name, tools?.amount(name) ?? 0]));
}
