import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { JobFeed, JobSubscriber } from '#feed/job-feed.js';
import type { WorkerWaker } from '#queue/worker-waker.js';
import { DueJobs } from './due-jobs.js';

describe('workers are called to jobs that are due', () => {
  let woken: string[];
  let subscribers: Map<string, JobSubscriber>;
  let due: DueJobs;
  beforeEach(() => {
    jest.useFakeTimers();
    [woken, subscribers] = [[], new Map()];
    const feed = {
      subscribe: (id: string, subscriber: JobSubscriber) => {
        subscribers.set(id, subscriber);
        return () => subscribers.delete(id);
      },
    };
    const waker = { wakeForJob: async (id: string) => void woken.push(id) };
    due = new DueJobs(feed as unknown as JobFeed, waker as unknown as WorkerWaker);
  });
  afterEach(() => void jest.useRealTimers());

  const runs = async (id: string): Promise<void> => {
    subscribers.get(id)?.('running');
    await jest.advanceTimersByTimeAsync(0);
  };
  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  it('at once for a lone one', () => {
    due.add('a');
    expect(woken).toEqual(['a']);
  });

  it('once for many: not for those that run by the time the first one does', async () => {
    for (const id of ['a', 'b', 'c', 'd']) due.add(id);
    await runs('b');
    await runs('c');
    expect(woken).toEqual(['a']);
    await runs('a');
    expect(woken).toEqual(['a', 'd']);
    await runs('d');
    due.add('e');
    expect(woken).toEqual(['a', 'd', 'e']);
    await runs('e');
    expect(subscribers.size).toBe(0);
  });

  it('again when nobody comes, ever more rarely, and at once when somebody has', async () => {
    due.add('a');
    due.add('b');
    await pass(99);
    expect(woken).toEqual(['a']);
    await pass(2);
    expect(woken).toEqual(['a', 'b']);
    due.add('c');
    await pass(190);
    expect(woken).toEqual(['a', 'b']);
    await pass(20);
    expect(woken).toEqual(['a', 'b', 'c']);
    due.add('d');
    await runs('c');
    expect(woken).toEqual(['a', 'b', 'c', 'd']);
    due.add('e');
    await pass(101);
    expect(woken).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('not for one that has waited for a second: others were called since, and nothing is kept of it', async () => {
    for (let n = 0; n < 100; n++) due.add(`job-${n}`);
    await pass(10_000);
    expect(woken.length).toBeLessThan(10);
    expect(subscribers.size).toBe(0);
    due.add('late');
    expect(woken.at(-1)).toBe('late');
  });

  it('though it may not have been heard that somebody came', async () => {
    due.add('a');
    due.add('b');
    for (const subscriber of [...subscribers.values()]) subscriber(undefined);
    await pass(0);
    expect(woken).toEqual(['a', 'b']);
  });

  it('before the process ends', async () => {
    for (const id of ['a', 'b']) due.add(id);
    due.beforeApplicationShutdown();
    due.add('c');
    expect(new Set(woken)).toEqual(new Set(['a', 'b', 'c']));
    await pass(0);
    expect(subscribers.size).toBe(0);
  });
});
