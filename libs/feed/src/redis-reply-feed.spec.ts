import { describe, expect, it } from '@jest/globals';
import type { RedisChannels } from './redis-channels.js';
import { RedisReplyFeed } from './redis-reply-feed.js';

describe('a question to a worker', () => {
  const asking = (confirmed: Promise<boolean>): { published: unknown[]; asked: Promise<boolean> } => {
    const published: unknown[] = [];
    const redis = {
      join: () => undefined,
      listensTo: () => confirmed,
      publish: async (messages: unknown[]) => published.push(...messages) > 0,
    };
    const feed = new RedisReplyFeed(redis as unknown as RedisChannels, 'reads');
    feed.subscribe('job', () => undefined);
    return { published, asked: feed.ask('job', { attempt: 2, text: 10, reasoning: 3, source: 1 }) };
  };

  it('goes once its answer is sure to be received, and not before', async () => {
    let confirm: (confirmed: boolean) => void = () => undefined;
    const { published, asked } = asking(new Promise((resolve) => (confirm = resolve)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(published).toEqual([]);
    confirm(true);
    expect(await asked).toBe(true);
    expect(published).toEqual([['{rejoinder}:asked', 'job 2 10 3 1']]);
  });

  it('does not go where no answer would be received', async () => {
    const { published, asked } = asking(Promise.resolve(false));
    expect(await asked).toBe(false);
    expect(published).toEqual([]);
  });
});
