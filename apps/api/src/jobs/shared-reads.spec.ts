import { describe, expect, it } from '@jest/globals';
import type { EntityManager } from 'typeorm';
import type { ReplyFeed } from '#feed/reply-feed.js';
import { SharedReads } from './shared-reads.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what streams read', () => {
  /** Each query waits for its answer. */
  const setUp = (): { reads: SharedReads; queries: { jobId: string; answer: (rows: unknown[]) => void }[] } => {
    const queries: { jobId: string; answer: (rows: unknown[]) => void }[] = [];
    const query = (_sql: string, [jobId]: [string]): Promise<unknown[]> =>
      new Promise((answer) => queries.push({ jobId, answer }));
    return { reads: new SharedReads({ query } as unknown as EntityManager, {} as ReplyFeed), queries };
  };
  const row = (jobId: string): object => ({ id: jobId, status: 'running' });

  it('is read once for all that want it in the same moment, and anew for any that come after that', async () => {
    const { reads, queries } = setUp();
    const thousand = Array.from({ length: 1_000 }, () => reads.read('a', 'ana'));
    await tick();
    expect(queries).toHaveLength(1);
    // The first read may have been too early for the change that this one is for.
    const later = reads.read('a', 'ana');
    await tick();
    expect(queries).toHaveLength(2);
    queries[0]?.answer([row('a')]);
    queries[1]?.answer([]);
    expect(new Set((await Promise.all(thousand)).map((found) => found?.job.id))).toEqual(new Set(['a']));
    expect(await later).toBeUndefined();
  });

  it('is another thing for another user', async () => {
    const { reads, queries } = setUp();
    void reads.read('a', 'ana');
    void reads.read('a', 'ben');
    await tick();
    expect(queries).toHaveLength(2);
  });

  it('is read a few at a time, also after one that failed, and a waiting read is shared', async () => {
    const { reads, queries } = setUp();
    const jobs = Array.from({ length: 20 }, (_, n) => `job-${n}`);
    const all = jobs.map((jobId) => reads.read(jobId, 'ana'));
    const joined = reads.read('job-19', 'ana');
    const ends = Promise.allSettled([...all, joined]);
    await tick();
    expect(queries).toHaveLength(4);
    queries[0]?.answer(undefined as never); // no rows at all: it fails
    for (let n = 1; n < 20; n++) {
      await tick();
      expect(queries).toHaveLength(Math.min(20, n + 4));
      queries[n]?.answer([row(queries[n]?.jobId ?? '')]);
    }
    const ended = await ends;
    expect(ended.map(({ status }) => status)).toEqual(['rejected', ...Array<string>(20).fill('fulfilled')]);
    expect(queries.map(({ jobId }) => jobId)).toEqual(jobs);
  });
});

describe('what streams ask for', () => {
  it('is asked once for all who lack it, from where most is lacking of the newest attempt', async () => {
    const asked: unknown[] = [];
    const replies = { ask: async (...question: unknown[]) => asked.push(question) > 0 };
    const reads = new SharedReads({} as EntityManager, replies as unknown as ReplyFeed);
    const has = (attempt: number, text: number, reasoning = 0, source = 0) => ({ attempt, text, reasoning, source });
    reads.ask('a', has(1, 0));
    reads.ask('a', has(2, 30, 7, 1));
    reads.ask('a', has(2, 10, 9, 3));
    reads.ask('a', has(2, 20, 8, 2));
    reads.ask('b', has(1, 5));
    expect(asked).toEqual([]);
    await tick();
    expect(asked).toEqual([
      ['a', has(2, 10, 7, 1)],
      ['b', has(1, 5)],
    ]);
    reads.ask('a', has(2, 40));
    await tick();
    expect(asked.at(-1)).toEqual(['a', has(2, 40)]);
  });
});
