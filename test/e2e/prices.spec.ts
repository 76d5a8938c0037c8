import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type App, runProgram } from '../support/processes.js';
import { SECRET, type Stack, startStack } from '../support/stack.js';
import { assistantsFile } from '../support/tools.js';

const MODEL = 'claude-sonnet-5-5';
const priced = (input: number, currency = 'EUR'): object => ({
  prices: { currency, models: { [MODEL]: { input, output: 10 }, other: { input: 1, output: 2, cache_read: 0 } } },
});

describe('the prices of the assistants file', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  const fileWith = (top: object): Promise<string> => assistantsFile({ support: {} }, top);
  const startWith = async (top: object): Promise<App> => stack.startApi({ ASSISTANTS_FILE: await fileWith(top) });
  const stored = async (): Promise<unknown[]> => {
    const { rows } = await stack.database.query<Record<string, string>>(
      `SELECT model, input::float8, output::float8, cache_read::float8, cache_write_5m::float8, cache_write_1h::float8 FROM prices ORDER BY model`,
    );
    return rows.map((row) => Object.values(row));
  };
  /** What a turn of `user` costs. */
  const costOf = async (user: string): Promise<{ cost: number | undefined; input: number; output: number }> => {
    const client = stack.as(user);
    const { body } = await client.turn((await client.chat()).id, 'What does this cost?');
    const { cost, input_tokens: input, output_tokens: output } = body.assistant_message.usage;
    return { cost, input, output };
  };

  it('cost nothing to leave out: no reply says what it cost', async () => {
    expect(await stored()).toEqual([]);
    expect((await costOf('ann')).cost).toBeUndefined();
  });

  it('may be in any currency as long as no cost is recorded', async () => {
    await startWith(priced(2, 'USD'));
    await startWith(priced(2));
    expect(await stored()).toEqual([
      [MODEL, 2, 10, 0.2, 2.5, 4],
      ['other', 1, 2, 0, 1.25, 2],
    ]);
  });

  it('hold for calls from now on: a call keeps what it cost, whatever the file says later', async () => {
    const before = await costOf('ben');
    expect(before.cost).toBeCloseTo((before.input * 2 + before.output * 10) / 1_000_000, 9);
    await startWith(priced(20));
    const after = await costOf('cid');
    expect(after.cost).toBeCloseTo((after.input * 20 + after.output * 10) / 1_000_000, 9);
    const { rows } = await stack.database.query(`SELECT cost::float8 AS cost FROM model_calls WHERE user_id = 'ben'`);
    expect(rows).toEqual([{ cost: before.cost }]);
  });

  it('must stay in the currency of the costs that are recorded: another one stops the start, and says why', async () => {
    const queue: Record<string, string> = stack.redis === undefined ? {} : { REDIS_URL: stack.redis.url };
    const env = { DATABASE_URL: stack.databaseUrl, JWT_SECRET: SECRET, PORT: '0', ...queue };
    const file = await fileWith(priced(3, 'USD'));
    const { code, printed } = await runProgram('api', { ...env, ASSISTANTS_FILE: file });
    expect([code, printed]).toEqual([
      1,
      expect.stringContaining(
        'The assistants file has prices in USD, and costs are recorded in EUR. Give the prices in EUR.',
      ),
    ]);
    // Nothing of the file was stored.
    expect((await stored())[0]).toEqual([MODEL, 20, 10, 2, 25, 40]);
  });

  it('that are removed are no longer used, and costs of before stay', async () => {
    await startWith({});
    expect(await stored()).toEqual([]);
    expect((await costOf('dan')).cost).toBeUndefined();
    const { rows } = await stack.database.query('SELECT count(cost)::int AS n FROM model_calls');
    expect(rows).toEqual([{ n: 2 }]);
  });
});
