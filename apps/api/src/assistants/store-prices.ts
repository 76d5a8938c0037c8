import type { EntityManager } from 'typeorm';
import { StartFault } from '#errors/start-fault.js';
import type { Prices } from './check-prices.js';

const CURRENCY = `
  UPDATE deployment SET currency = $1 WHERE currency IS NULL OR currency = $1 OR NOT EXISTS (SELECT FROM model_calls WHERE cost IS NOT NULL)
  RETURNING currency`;

const KNOWN = `SELECT currency FROM deployment`;

const STORE = `
  INSERT INTO prices (model, input, output, cache_read, cache_write_5m, cache_write_1h, server_tools)
  SELECT model, input, output, cache_read, cache_write_5m, cache_write_1h, server_tools
    FROM jsonb_to_recordset($1::jsonb) AS p (model text, input numeric, output numeric, cache_read numeric, cache_write_5m numeric,
                                             cache_write_1h numeric, server_tools jsonb)
  ON CONFLICT (model) DO UPDATE SET input = excluded.input, output = excluded.output, cache_read = excluded.cache_read,
    cache_write_5m = excluded.cache_write_5m, cache_write_1h = excluded.cache_write_1h, server_tools = excluded.server_tools
  WHERE (prices.*) IS DISTINCT FROM (excluded.*)`;

/**
 * Stores the prices of the file in place of the earlier ones. Calls that have ended keep their cost.
 * @throws StartFault when costs were recorded in another currency: their sum with new ones would mean nothing
 */
export async function storePrices(manager: EntityManager, prices: Prices | undefined): Promise<void> {
  const models = prices === undefined ? [] : [...prices.models].map(([model, price]) => ({ model, ...price }));
  if (prices !== undefined) {
    const [stored] = await manager.query<[{ currency: string }[]]>(CURRENCY, [prices.currency]);
    if (stored.length === 0) {
      const [known] = await manager.query<{ currency: string }[]>(KNOWN);
      throw new StartFault(
        `The assistants file has prices in ${prices.currency}, and costs are recorded in ${known?.currency}. Give the prices in ${known?.currency}.`,
      );
    }
  }
  await manager.query('DELETE FROM prices WHERE NOT model = ANY ($1)', [models.map(({ model }) => model)]);
  await manager.query(STORE, [JSON.stringify(models)]);
}
