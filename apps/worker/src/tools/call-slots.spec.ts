import { afterEach, describe, expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { CallSlots, originOf } from './call-slots.js';

const A = 'https://a.example';
const B = 'https://b.example';
const never = new AbortController().signal;

describe('the slots of calls', () => {
  /** The names of calls in the order in which they got a slot. */
  let begun: string[] = [];
  afterEach(() => {
    begun = [];
  });
  const take = async (slots: CallSlots, origin: string, name: string): Promise<() => void> => {
    const release = await slots.take(origin, never);
    begun.push(name);
    return release;
  };

  it('give one server at most half, while another still gets its own', async () => {
    const slots = new CallSlots(4);
    const first = await take(slots, A, 'a1');
    await take(slots, A, 'a2');
    void take(slots, A, 'a3');
    void take(slots, B, 'b1');
    await turn();
    expect(begun).toEqual(['a1', 'a2', 'b1']);
    first();
    await turn();
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
  });

  it('are given in order of arrival, and nobody who comes later overtakes', async () => {
    const slots = new CallSlots(2);
    const [a, b] = [await take(slots, A, 'a1'), await take(slots, B, 'b1')];
    const others = ['x1', 'x2', 'x3'].map((name) => take(slots, `https://${name}.example`, name));
    a();
    void take(slots, 'https://late.example', 'late');
    b();
    await turn();
    expect(begun).toEqual(['a1', 'b1', 'x1', 'x2']);
    (await others[0])?.();
    (await others[1])?.();
    await turn();
    expect(begun).toEqual(['a1', 'b1', 'x1', 'x2', 'x3', 'late']);
  });

  it('let pass who can begin where the first in line cannot', async () => {
    const slots = new CallSlots(3);
    await take(slots, A, 'a1');
    const b = await take(slots, B, 'b1');
    await take(slots, 'https://c.example', 'c1');
    void take(slots, A, 'a2');
    void take(slots, B, 'b2');
    b();
    await turn();
    expect(begun).toEqual(['a1', 'b1', 'c1', 'b2']);
  });

  it('are one for every server where there is only one', async () => {
    const slots = new CallSlots(1);
    const release = await take(slots, A, 'a1');
    void take(slots, B, 'b1');
    release();
    await turn();
    expect(begun).toEqual(['a1', 'b1']);
  });

  it('come back once, however often they are given back', async () => {
    const slots = new CallSlots(1);
    const release = await take(slots, A, 'a1');
    release();
    release();
    await take(slots, A, 'a2');
    void take(slots, A, 'a3');
    await turn();
    expect([begun, slots.waiters]).toEqual([['a1', 'a2'], 1]);
  });

  it('are not kept for a call that was stopped while it waited', async () => {
    const slots = new CallSlots(1);
    const release = await take(slots, A, 'a1');
    const stop = new AbortController();
    const stopped = slots.take(A, stop.signal);
    stop.abort('stopped');
    await expect(stopped).rejects.toBe('stopped');
    await expect(slots.take(A, stop.signal)).rejects.toBe('stopped');
    release();
    await take(slots, A, 'a2');
    expect([begun, slots.waiters]).toEqual([['a1', 'a2'], 0]);
  });
});

describe('the origin of a tool', () => {
  it('is its server, whatever the path', () => {
    expect(originOf('https://A.example:443/one?two')).toBe(A);
    expect(originOf('env:NO_SUCH_VARIABLE/one')).toBe('env:NO_SUCH_VARIABLE/one');
  });
});
