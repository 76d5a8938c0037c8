import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { linkedSignal } from './linked-signal.js';

describe('a linked signal', () => {
  const two = (): [AbortController, AbortController] => [new AbortController(), new AbortController()];

  it('aborts with the first of its sources, and for its reason', () => {
    const [a, b] = two();
    const { signal } = linkedSignal(a.signal, b.signal);
    expect(signal.aborted).toBe(false);
    b.abort('second');
    a.abort('first');
    expect([signal.aborted, signal.reason]).toEqual([true, 'second']);
  });

  it('is aborted from the beginning where a source is', () => {
    const [a, b] = two();
    a.abort('before');
    expect(linkedSignal(a.signal, b.signal).signal.reason).toBe('before');
  });

  it('leaves nothing with its sources once it is released, and follows them no more', () => {
    const [a, b] = two();
    const { signal, release } = linkedSignal(a.signal, b.signal);
    release();
    a.abort();
    expect(signal.aborted).toBe(false);
    expect([a, b].flatMap((source) => getEventListeners(source.signal, 'abort'))).toEqual([]);
  });
});
