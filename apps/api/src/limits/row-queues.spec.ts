import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { type LockedRows, RowQueues } from './row-queues.js';

/** A write that goes on until the test ends it. */
class Write {
  begun = false;
  readonly done: Promise<unknown>;
  private settle: { resolve: (value: unknown) => void; reject: (error: unknown) => void } | undefined;

  constructor(queues: RowQueues, rows: LockedRows) {
    this.done = queues.run(rows, () => {
      this.begun = true;
      return new Promise((resolve, reject) => (this.settle = { resolve, reject }));
    });
    this.done.catch(() => undefined);
  }

  async end(error?: unknown): Promise<void> {
    if (error === undefined) this.settle?.resolve('written');
    else this.settle?.reject(error);
    await this.done.catch(() => undefined);
    await sleep(0);
  }
}

const inVain = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' });

/** Which of the writes have begun. */
const begun = async (...writes: readonly Write[]): Promise<boolean[]> => {
  await sleep(0);
  return writes.map((write) => write.begun);
};

describe('requests that lock rows', () => {
  it('come one after the other for a chat, in the order they came, and beside one another for two', async () => {
    const queues = new RowQueues(10);
    const [first, second, third, other] = ['a', 'a', 'a', 'b'].map((chat) => new Write(queues, { chat })) as [
      Write,
      Write,
      Write,
      Write,
    ];
    expect(await begun(first, second, third, other)).toEqual([true, false, false, true]);
    await first.end();
    expect(await begun(second, third)).toEqual([true, false]);
    await second.end(new Error('refused'));
    expect(await begun(third)).toEqual([true]);
    expect(await first.done).toBe('written');
    await expect(second.done).rejects.toThrow('refused');
  });

  it('come one after the other for a user, whichever chats they write into', async () => {
    const queues = new RowQueues(10);
    const [one, two, hers] = [
      new Write(queues, { chat: 'a', user: 'ana' }),
      new Write(queues, { chat: 'b', user: 'ana' }),
      new Write(queues, { chat: 'c', user: 'eva' }),
    ];
    expect(await begun(one, two, hers)).toEqual([true, false, true]);
    await one.end();
    expect(await begun(two)).toEqual([true]);
  });

  it('leave connections to those that only read', async () => {
    const queues = new RowQueues(4);
    const writes = Array.from({ length: 8 }, (_, n) => new Write(queues, { chat: `chat ${n}` }));
    expect((await begun(...writes)).filter(Boolean)).toHaveLength(3);
    await writes[0]?.end();
    expect((await begun(...writes)).filter(Boolean)).toHaveLength(4);
  });

  it('are refused with the one that waited in vain if they waited as long, those of other chats are not', async () => {
    const queues = new RowQueues(10, { longest: 10_000, vain: 100 });
    const [first, behind] = [new Write(queues, { chat: 'a' }), new Write(queues, { chat: 'a' })];
    const [mine, next] = [new Write(queues, { chat: 'b', user: 'ana' }), new Write(queues, { chat: 'c', user: 'ana' })];
    expect(await begun(first, behind, mine, next)).toEqual([true, false, true, false]);
    await sleep(150);
    const late = new Write(queues, { chat: 'a' });
    await first.end(inVain);
    await expect(behind.done).rejects.toBe(inVain);
    expect(await begun(late)).toEqual([true]);
    await mine.end(inVain);
    expect(await begun(next)).toEqual([true]);
  });

  it('are refused when they have waited for long', async () => {
    const queues = new RowQueues(10, { longest: 20, vain: 100 });
    const [first, late] = [new Write(queues, { chat: 'a' }), new Write(queues, { chat: 'a' })];
    expect(await begun(first, late)).toEqual([true, false]);
    await expect(late.done).rejects.toMatchObject({ code: 'unavailable', headers: { 'retry-after': '2' } });
    await first.end();
    const next = new Write(queues, { chat: 'a' });
    expect(await begun(next)).toEqual([true]);
  });

  it('leave nothing behind', async () => {
    const queues = new RowQueues(10);
    const writes = Array.from({ length: 9 }, (_, n) => new Write(queues, { chat: `${n % 2}`, user: `${n % 3}` }));
    for (const write of writes) {
      while (!write.begun) await sleep(0);
      await write.end(writes.indexOf(write) % 2 === 0 ? new Error('refused') : undefined);
    }
    expect((queues as unknown as { queues: Map<string, unknown> }).queues.size).toBe(0);
  });
});
