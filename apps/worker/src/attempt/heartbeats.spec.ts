import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { Call } from '../model/call.js';
import { Draft } from './draft.js';
import { Heartbeats } from './heartbeats.js';

/** The values of one statement, one of each list for each attempt. */
type Sent = { jobIds: string[]; texts: string[] };
type Answer = (sent: Sent) => Promise<Record<string, string>>;

const extended: Answer = async ({ jobIds }) => Object.fromEntries(jobIds.map((id) => [id, 'extended']));

describe('heartbeats', () => {
  let sent: Sent[];
  let answer: Answer;
  let heartbeats: Heartbeats;
  let lost: string[];
  beforeEach(() => {
    jest.useFakeTimers();
    [sent, answer, lost] = [[], extended, []];
    const query = async (
      _: string,
      [jobIds, , , texts]: [string[], number[], number[], string[]],
    ): Promise<unknown[]> => {
      sent.push({ jobIds, texts });
      const came = await answer({ jobIds, texts });
      return jobIds.map((jobId) => ({ jobId, attempt: 1, extended: came[jobId] }));
    };
    heartbeats = new Heartbeats({ manager: { query } } as unknown as DataSource);
  });
  afterEach(() => void jest.useRealTimers());

  const keep = (id: string, text = ''): { draft: Draft; beat: () => void; stop: () => Promise<void> } => {
    const draft = new Draft({ id, attempt: 1, steps: [] }, new Call(1_000, () => undefined));
    draft.add(text);
    return { draft, ...heartbeats.keep(draft, () => lost.push(id)) };
  };
  const attempts = (count: number, text?: string): string[] =>
    Array.from({ length: count }, (_, n) => (keep(`job-${n}`, text), `job-${n}`));
  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  it('of all attempts go together, a hundred in a statement, and so much text', async () => {
    const ids = attempts(250);
    await pass(2_750);
    expect(sent.map(({ jobIds }) => jobIds.length)).toEqual([100, 100, 50]);
    expect(sent.flatMap(({ jobIds }) => jobIds)).toEqual(ids);
    sent.length = 0;
    keep('long', 'x'.repeat(600_000));
    keep('longer', 'x'.repeat(700_000));
    await pass(3_000);
    const long = sent.filter(({ texts }) => texts.some((text) => text !== ''));
    expect(long.map(({ texts }) => texts.join('').length)).toEqual([600_000, 700_000]);
  });

  it('that fail, fail alone the next time: the others go on', async () => {
    attempts(3, 'text');
    answer = async (all) => {
      if (all.jobIds.includes('job-1')) throw new Error('this one is no good');
      return extended(all);
    };
    await pass(2_750);
    expect(sent.map(({ jobIds }) => jobIds)).toEqual([['job-0', 'job-1', 'job-2']]);
    await pass(500);
    expect(sent.slice(1).map(({ jobIds }) => jobIds)).toEqual([['job-0'], ['job-1'], ['job-2']]);
    expect(lost).toEqual([]);
  });

  it('for which the database is away are tried again soon, together, and nothing is left out', async () => {
    const { draft } = keep('a', 'one ');
    keep('b');
    answer = () => Promise.reject(Object.assign(new Error(), { code: 'ECONNREFUSED' }));
    await pass(2_750);
    draft.add('two ');
    answer = extended;
    await pass(750);
    draft.add('three');
    await pass(2_750);
    expect(sent.map(({ jobIds, texts }) => [jobIds.join(), texts[0]])).toEqual([
      ['a,b', 'one '],
      ['a,b', 'one two '],
      ['a,b', 'three'],
    ]);
  });

  it('that hang are tried again within their lease', async () => {
    attempts(2);
    answer = () => new Promise(() => undefined);
    await pass(2_750 + 4_750);
    expect(sent).toHaveLength(2);
  });

  it('say whose attempt is lost, ask at once when told to, and end with the last attempt', async () => {
    const [a, b] = [keep('a'), keep('b')];
    answer = async () => ({ a: 'busy', b: 'lost' });
    b.beat();
    a.beat();
    await pass(250);
    expect(lost).toEqual(['b']);
    await b.stop();
    answer = extended;
    await pass(750);
    expect(sent.map(({ jobIds }) => jobIds)).toEqual([['a', 'b'], ['a']]);
    await a.stop();
    expect(jest.getTimerCount()).toBe(0);
  });
});
