import { describe, expect, it } from '@jest/globals';
import { Entrance } from './entrance.js';

describe('the entrance', () => {
  it('lets so many begin at once, in the order they came, and counts nobody twice', async () => {
    const entrance = new Entrance(2);
    const inside: string[] = [];
    const enter = async (name: string): Promise<() => void> => {
      const begun = await entrance.enter();
      inside.push(name);
      return begun;
    };
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(enter) as [Promise<() => void>, ...Promise<() => void>[]];
    const begun = await a;
    await b;
    expect(inside).toEqual(['a', 'b']);
    begun();
    begun();
    await c;
    await new Promise(setImmediate);
    expect(inside).toEqual(['a', 'b', 'c']);
    (await (b as Promise<() => void>))();
    (await (c as Promise<() => void>))();
    await Promise.all([d, e]);
    expect(inside).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});
