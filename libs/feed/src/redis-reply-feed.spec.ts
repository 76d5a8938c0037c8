import { describe, expect, it } from '@jest/globals';
import type { RedisListener } from './redis-listener.js';
import { RedisReplyFeed } from './redis-reply-feed.js';

describe('a question to a worker', () => {
  const asking = (confirmed: Promise<boolean>): { said: unknown[]; asked: Promise<boolean> } => {
    const said: unknown[] = [];
    const redis = {
      join: () => undefined,
      listensTo: () => confirmed,
      say: async (messages: unknown[]) => said.push(...messages) > 0,
    };
    const feed = new RedisReplyFeed(redis as unknown as RedisListener, 'reads');
    feed.follow('job', () => undefined);
    return { said, asked: feed.ask('job', 2, 10) };
  };

  it('goes once its answer is sure to be heard, and not before', async () => {
    let confirm: (heard: boolean) => void = () => undefined;
    const { said, asked } = asking(new Promise((resolve) => (confirm = resolve)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(said).toEqual([]);
    confirm(true);
    expect(await asked).toBe(true);
    expect(said).toEqual([['{rejoinder}:asked', 'job 2 10']]);
  });

  it('does not go where no answer would be heard', async () => {
    const { said, asked } = asking(Promise.resolve(false));
    expect(await asked).toBe(false);
    expect(said).toEqual([]);
  });
});
