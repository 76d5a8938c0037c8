import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Piece, ReplyFeed, Writer } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import { Call } from '../model/call.js';
import { Draft } from './draft.js';
import { ReplyPublisher } from './publisher.js';

const BEGIN = 1_000_000;

describe('the publisher of a process', () => {
  const writers = new Map<string, Writer>();
  let sent: { at: number; pieces: string[] }[];
  let publisher: ReplyPublisher;
  /** The next publications wait for this. */
  let store: Promise<boolean>;
  beforeEach(() => {
    jest.useFakeTimers({ now: BEGIN });
    sent = [];
    store = Promise.resolve(true);
    publisher = new ReplyPublisher({
      publish: (pieces: readonly Piece[]) => {
        sent.push({ at: Date.now() - BEGIN, pieces: pieces.map((piece) => `${piece.jobId} ${shownOf(piece)}`) });
        return store;
      },
      answer: (jobId: string, writer: Writer) => {
        writers.set(jobId, writer);
        return () => void writers.delete(jobId);
      },
    } as unknown as ReplyFeed);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Begins an attempt. @returns adds to its text */
  const begun = (id: string): ((text: string) => void) => {
    const job = { id, attempt: 1, steps: [] as const } as unknown as ClaimedJob;
    const draft = new Draft(job, new Call(1_000, () => undefined));
    publisher.open(job, draft, () => undefined);
    return (text) => {
      draft.add(text);
      publisher.touch(draft);
    };
  };
  const asked = (id: string, text = 0): void => writers.get(id)?.({ attempt: 1, text, reasoning: 0, source: 0 });
  const shownOf = (piece: Piece): string => (piece.kind === 'source' ? piece.source.url : piece.text);

  it('sends the first text at once, and what comes in the same moment with it', async () => {
    const [one, other] = [begun('one'), begun('other')];
    one('a');
    other('b');
    one('c');
    await jest.advanceTimersByTimeAsync(0);
    expect(sent).toEqual([{ at: 0, pieces: ['one ac', 'other b'] }]);
  });

  it('sends what nobody asked for in bundles', async () => {
    const [one, other] = [begun('one'), begun('other')];
    one('a');
    await jest.advanceTimersByTimeAsync(10);
    one('b');
    other('c');
    await jest.advanceTimersByTimeAsync(20);
    one('d');
    await jest.advanceTimersByTimeAsync(100);
    expect(sent).toEqual([
      { at: 0, pieces: ['one a'] },
      { at: 40, pieces: ['one bd', 'other c'] },
    ]);
  });

  it('lets whoever asked wait 5 ms after the last one at most, for the next piece and not for all', async () => {
    const [one, other] = [begun('one'), begun('other')];
    asked('other');
    one('a');
    await jest.advanceTimersByTimeAsync(1);
    one('b');
    other('c');
    await jest.advanceTimersByTimeAsync(10);
    other('d');
    await jest.advanceTimersByTimeAsync(100);
    expect(sent).toEqual([
      { at: 0, pieces: ['one a'] },
      { at: 5, pieces: ['one b', 'other c'] },
      { at: 45, pieces: ['other d'] },
    ]);
  });

  it('sends text again to whoever lacks it, as soon', async () => {
    const one = begun('one');
    one('abc');
    await jest.advanceTimersByTimeAsync(1);
    asked('one', 1);
    await jest.advanceTimersByTimeAsync(4);
    expect(sent.at(-1)).toEqual({ at: 5, pieces: ['one bc'] });
  });

  it('has one publication under way', async () => {
    let through = (_published: boolean): void => undefined;
    store = new Promise((resolve) => (through = resolve));
    const one = begun('one');
    asked('one');
    one('a');
    await jest.advanceTimersByTimeAsync(10);
    asked('one', 1);
    one('b');
    await jest.advanceTimersByTimeAsync(100);
    expect(sent).toHaveLength(1);
    through(true);
    await jest.advanceTimersByTimeAsync(0);
    expect(sent.slice(1)).toEqual([{ at: 110, pieces: ['one b'] }]);
  });

  it('does not publish what has ended', async () => {
    const job = { id: 'one', attempt: 1, steps: [] as const } as unknown as ClaimedJob;
    const draft = new Draft(job, new Call(1_000, () => undefined));
    const close = publisher.open(job, draft, () => undefined);
    draft.add('a');
    publisher.touch(draft);
    close();
    await jest.advanceTimersByTimeAsync(100);
    expect(sent).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });
});
