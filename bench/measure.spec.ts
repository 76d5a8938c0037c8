import { describe, expect, it } from '@jest/globals';
import type { Round } from './load.js';
import { measure } from './measure.js';
import type { Side, Sides } from './sides.js';

const side = (name: Side['name']): Side => ({ name, parts: [] }) as unknown as Side;
const sides = { rejoinder: side('rejoinder'), ceiling: side('ceiling') } as Sides;

/** Rounds of one second, with as many operations as the side does. */
async function measured(run: (side: Side, round: number) => Partial<Round>) {
  const seen = new Map<string, number>();
  const order: string[] = [];
  const result = await measure(
    {
      name: 'something',
      goal: 0.5,
      run: async (one) => {
        const round = seen.get(one.name) ?? 0;
        seen.set(one.name, round + 1);
        order.push(one.name);
        return { seconds: 1, times: [1, 2, 3], errors: 0, ...run(one, round) };
      },
    },
    sides,
    2,
    1_000,
  );
  return { order, result };
}

describe('a measurement', () => {
  it('lets each side begin equally often, and counts all rounds but the first of each', async () => {
    const { order, result } = await measured(({ name }, round) => ({
      times: round === 0 ? [1] : name === 'ceiling' ? [1, 1, 1, 1] : [1, 1, 1],
    }));
    expect(order.slice(2)).toEqual(['rejoinder', 'ceiling', 'ceiling', 'rejoinder']);
    expect(result).toEqual(expect.objectContaining({ ratio: 0.75, ratios: [0.75, 0.75] }));
    expect(result.rejoinder.rounds).toHaveLength(2);
  });

  it.each(['rejoinder', 'ceiling'])(
    'gives no ratio when one request of the %s failed, even in the first round',
    async (who) => {
      for (const bad of [0, 2]) {
        const { result } = await measured(({ name }, round) =>
          name === who && round === bad ? { errors: 1, fault: 'GET /: 500 instead of 200' } : {},
        );
        expect(result).toEqual(expect.objectContaining({ ratio: null, ratios: [], cpuRatio: null }));
        expect(result[who as Side['name']]).toEqual(
          expect.objectContaining({ errors: 1, fault: 'GET /: 500 instead of 200' }),
        );
      }
    },
  );

  it('gives no ratio when a side did nothing', async () => {
    const { result } = await measured(({ name }) => ({ times: name === 'ceiling' ? [] : [1] }));
    expect(result.ratio).toBeNull();
  });
});
