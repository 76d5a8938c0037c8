import { describe, expect, it } from '@jest/globals';
import type { EntityManager } from 'typeorm';
import type { ReplyFeed } from '#feed/reply-feed.js';
import { SharedLooks } from './shared-looks.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what streams look up', () => {
  /** Each query waits to be answered. */
  const looking = (): { looks: SharedLooks; queries: { jobId: string; answer: (rows: unknown[]) => void }[] } => {
    const queries: { jobId: string; answer: (rows: unknown[]) => void }[] = [];
    const query = (_sql: string, [jobId]: [string]): Promise<unknown[]> =>
      new Promise((answer) => queries.push({ jobId, answer }));
    return { looks: new SharedLooks({ query } as unknown as EntityManager, {} as ReplyFeed), queries };
  };
  const row = (jobId: string): object => ({ id: jobId, status: 'running' });

  it('is looked up once for all who want it in the same moment, and anew for whoever comes after that', async () => {
    const { looks, queries } = looking();
    const thousand = Array.from({ length: 1_000 }, () => looks.look('a', 'ana'));
    await tick();
    expect(queries).toHaveLength(1);
    // That look may have been too early for this one.
    const later = looks.look('a', 'ana');
    await tick();
    expect(queries).toHaveLength(2);
    queries[0]?.answer([row('a')]);
    queries[1]?.answer([]);
    expect(new Set((await Promise.all(thousand)).map((found) => found?.job.id))).toEqual(new Set(['a']));
    expect(await later).toBeUndefined();
  });

  it('is another thing for another user', async () => {
    const { looks, queries } = looking();
    void looks.look('a', 'ana');
    void looks.look('a', 'ben');
    await tick();
    expect(queries).toHaveLength(2);
  });

  it('is looked up a few at a time, also after one that failed, and whoever waits is joined', async () => {
    const { looks, queries } = looking();
    const jobs = Array.from({ length: 20 }, (_, n) => `job-${n}`);
    const all = jobs.map((jobId) => looks.look(jobId, 'ana'));
    const joined = looks.look('job-19', 'ana');
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
    const looks = new SharedLooks({} as EntityManager, replies as unknown as ReplyFeed);
    looks.ask('a', { attempt: 1, offset: 0 });
    looks.ask('a', { attempt: 2, offset: 30 });
    looks.ask('a', { attempt: 2, offset: 10 });
    looks.ask('a', { attempt: 2, offset: 20 });
    looks.ask('b', { attempt: 1, offset: 5 });
    expect(asked).toEqual([]);
    await tick();
    expect(asked).toEqual([
      ['a', 2, 10],
      ['b', 1, 5],
    ]);
    looks.ask('a', { attempt: 2, offset: 40 });
    await tick();
    expect(asked.at(-1)).toEqual(['a', 2, 40]);
  });
});
