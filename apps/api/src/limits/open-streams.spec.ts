import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EntityManager } from 'typeorm';
import type { Settings } from '#settings/settings.js';
import { Limits } from './limits.js';
import { OpenStreams } from './open-streams.js';

const LIMITS = { openStreams: 2 } as Settings['limits'];

/** Waits longer than closed streams are gathered. */
const gathered = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 80));

describe('the streams of a user', () => {
  /** How many streams the table counts. */
  let counted: number;
  let statements: string[];
  let closes: () => Promise<void>;
  let streams: OpenStreams;
  beforeEach(() => {
    [counted, statements, closes] = [0, [], async () => undefined];
    const query = async (text: string, values: unknown[][] = []): Promise<unknown[]> => {
      const [, what = ''] = /(open_stream|close_streams)/.exec(text) ?? [];
      if (what !== '') statements.push(what);
      if (what === 'open_stream') {
        const opened = counted < Number(values[2]);
        if (opened) counted += 1;
        return [{ opened }];
      }
      if (what === 'close_streams') {
        await closes();
        counted -= Number(values[1]?.[0]);
      }
      return [{ fresh: false }];
    };
    const manager = { query } as unknown as EntityManager;
    streams = new OpenStreams(manager, new Limits(manager, LIMITS, { haveBudgets: false }), LIMITS);
  });

  it('that close and open one after the other keep one slot: nothing is asked or waited for', async () => {
    for (let n = 0; n < 5; n++) (await streams.enter('ana')).leave();
    const last = await streams.enter('ana');
    await gathered();
    expect([statements, counted]).toEqual([['open_stream'], 1]);
    last.leave();
    await gathered();
    expect([statements.at(-1), counted]).toEqual(['close_streams', 0]);
  });

  it('are no more than they may be, whoever has left', async () => {
    const [first] = [await streams.enter('ana'), await streams.enter('ana')];
    await expect(streams.enter('ana')).rejects.toThrow();
    first.leave();
    first.leave();
    await streams.enter('ana');
    await expect(streams.enter('ana')).rejects.toThrow();
    expect(counted).toBe(2);
  });

  it('are counted anew when one opens while its slot is being written off', async () => {
    let written = (): void => undefined;
    closes = () => new Promise((resolve) => (written = resolve));
    (await streams.enter('ana')).leave();
    await gathered();
    const entering = streams.enter('ana');
    written();
    await entering;
    expect([statements, counted]).toEqual([['open_stream', 'close_streams', 'open_stream'], 1]);
  });

  it('whose end could not be written are written off later', async () => {
    closes = async () => Promise.reject(new Error('away'));
    (await streams.enter('ana')).leave();
    await gathered();
    closes = async () => undefined;
    (await streams.enter('ana')).leave();
    await gathered();
    expect([statements, counted]).toEqual([['open_stream', 'close_streams', 'close_streams'], 0]);
  });
});
