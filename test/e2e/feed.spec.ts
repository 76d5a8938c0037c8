import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openStream, type OpenedStream, type StreamEvent, textOf } from '../support/events.js';
import { FeedConnections } from '../support/feed.js';
import { Pace } from '../support/pace.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const onRedis = process.env['TEST_QUEUE'] === 'redis' ? it : it.skip;
const pieces = (count: number): string[] => Array.from({ length: count }, (_, n) => `piece ${n} `);
const SIX = pieces(6).join('');

/** Reads the events of a stream as they come. */
class Reader {
  readonly events: StreamEvent[] = [];
  readonly ended: Promise<void>;

  constructor(readonly stream: OpenedStream) {
    this.ended = (async () => {
      for await (const event of stream.events) this.events.push(event);
    })();
    this.ended.catch(() => undefined); // it was left
  }

  get text(): string {
    return textOf(this.events);
  }

  /** How many pieces of text have come. */
  get deltas(): number {
    return this.events.filter(({ event }) => event === 'delta').length;
  }

  async left(): Promise<void> {
    this.stream.close();
    await this.ended.catch(() => undefined);
  }
}

describe('the feed', () => {
  let stack: Stack;
  let feed: FeedConnections;
  beforeAll(async () => {
    stack = await startStack();
    feed = FeedConnections.of(stack);
  });
  afterAll(async () => {
    feed.close();
    await stack.stop();
  });

  /** The connections that listen for jobs: on PostgreSQL, wherever the queue is. */
  const listeners = async (): Promise<number[]> => {
    const { rows } = await stack.database.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rejoinder-%-feed'`,
    );
    return rows.map(({ pid }) => pid as number);
  };
  const begin = async (user: string, text: string): Promise<string> =>
    (await stack.as(user).turnAsync((await stack.as(user).chat()).id, text)).id;
  const follow = async (user: string, jobId: string, api = stack.api): Promise<Reader> =>
    new Reader(await openStream(api.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`));
  const cancel = async (user: string, jobId: string): Promise<void> => {
    await stack.as(user).patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' });
  };
  const text = (reader: Reader, wanted: string, ms?: number): Promise<true> =>
    until(async () => reader.text === wanted, `"${wanted}"`, ms);

  it('is cut: clients that wait or follow still get the reply, as it is written', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('cut', { pieces: pieces(60), piece_delay_ms: 50 });
    const turn = ana.turn(chat.id, 'cut');
    const jobId = await until(async () => {
      const { rows } = await stack.database.query(`SELECT id FROM jobs WHERE status = 'running'`);
      return rows[0]?.id as string | undefined;
    }, 'the attempt');
    const reader = await follow('ana', jobId);
    await until(async () => reader.deltas > 0, 'the first text');
    const [jobs, replies] = [await listeners(), await feed.list()];
    expect([jobs.length, replies.length]).toEqual([2, stack.redis === undefined ? 2 : 4]);
    const before = reader.deltas;
    await stack.database.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [jobs]);
    if (stack.redis !== undefined) await feed.cut();
    await reader.ended;
    const { status, body } = await turn;
    expect([status, reader.events.at(-1)?.id]).toEqual([200, 'end']);
    expect(reader.text).toBe(body.assistant_message.content);
    // The text must not come only with the job's end: that would be one piece, or one for each look.
    expect(reader.deltas - before).toBeGreaterThan(10);
    expect((await listeners()).some((pid) => jobs.includes(pid))).toBe(false);
    expect((await feed.list()).some((id) => replies.includes(id))).toBe(false);
  });

  it.each(['worker', 'api'] as const)(
    'is cut at the %s while the last piece before a long pause is sent: that piece still comes',
    async (app) => {
      const script = `a long pause at the ${app}`;
      await stack.model.script(script, { pieces: pieces(6), piece_delay_ms: 100, stall_after: 6 });
      const jobId = await begin(app, script);
      const reader = await follow(app, jobId);
      await until(async () => reader.deltas > 0, 'the first text');
      let cuts = 0;
      for (let n = 0; n < 10; n++) {
        cuts += await feed.cut(app);
        await pause(80);
      }
      expect(cuts).toBeGreaterThan(1);
      await text(reader, SIX);
      await cancel(app, jobId);
      await reader.ended;
    },
  );

  onRedis(
    'hears no question at the worker, which then saves the text in a draft: that text comes all the same',
    async () => {
      const user = (...rules: string[]): unknown =>
        feed.redis?.call('ACL', 'SETUSER', 'default', 'resetchannels', ...rules);
      await stack.model.script('nobody hears the question', { pieces: pieces(6), piece_delay_ms: 20, stall_after: 6 });
      // Text may pass, questions may not. This closes the connection that heard them.
      await user('&{rejoinder}:pieces:*');
      const jobId = await begin('kay', 'nobody hears the question');
      await until(async () => (await stack.model.calls('nobody hears the question')).length > 0, 'the call');
      await pause(500);
      const reader = await follow('kay', jobId);
      await until(async () => {
        const { rows } = await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [jobId]);
        return rows[0]?.draft === SIX;
      }, 'the checkpoint');
      expect(reader.text).toBe('');
      await user('allchannels');
      await feed.cut('worker', 'hears');
      await text(reader, SIX);
      await cancel('kay', jobId);
      await reader.ended;
    },
  );

  it('has as many connections for fifty streams as for none', async () => {
    await stack.model.script('fifty', { pieces: pieces(6), piece_delay_ms: 20, stall_after: 6 });
    const users = Array.from({ length: 10 }, (_, n) => `fifty-${n}`);
    const jobs = await Promise.all(users.map((user) => begin(user, 'fifty')));
    const before = [await listeners(), await feed.list()].map((ids) => ids.sort());
    const readers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => follow(users[n % 10] ?? '', jobs[n % 10] ?? '')),
    );
    await Promise.all(readers.map((reader) => text(reader, SIX)));
    expect([await listeners(), await feed.list()].map((ids) => ids.sort())).toEqual(before);
    await Promise.all(readers.map((reader) => reader.left()));
    await Promise.all(users.map((user, n) => cancel(user, jobs[n] ?? '')));
  });

  onRedis('brings a process only what its own clients follow, and nothing once they have left', async () => {
    const other = await stack.startApi();
    await stack.model.script('here and there', { pieces: pieces(6), piece_delay_ms: 20, stall_after: 6 });
    const [here, there, nowhere] = await Promise.all(['h', 't', 'n'].map((user) => begin(user, 'here and there')));
    expect(await feed.subscribed()).toEqual([]);
    const readers = [
      await follow('h', here ?? ''),
      await follow('h', here ?? ''),
      await follow('t', there ?? '', other),
    ];
    await Promise.all(readers.map((reader) => text(reader, SIX)));
    const channel = (id: string | undefined): string => `{rejoinder}:pieces:${id}`;
    // The number of connections that get each one's text.
    expect(await feed.redis?.pubsub('NUMSUB', channel(here), channel(there), channel(nowhere))).toEqual([
      ...[channel(here), 1],
      ...[channel(there), 1],
      ...[channel(nowhere), 0],
    ]);
    await readers[0]?.left();
    await readers[2]?.left();
    await until(async () => (await feed.subscribed()).length === 1, 'one to go');
    // One of two clients has left; the other still gets events.
    expect(await feed.subscribed()).toEqual([here]);
    await readers[1]?.left();
    await until(async () => (await feed.subscribed()).length === 0, 'the last to go');
    await Promise.all([cancel('h', here ?? ''), cancel('t', there ?? ''), cancel('n', nowhere ?? '')]);
    expect(await other.stop()).toBe(0);
  });

  onRedis('subscribes to nothing that clients left while it was cut', async () => {
    await stack.model.script('left meanwhile', { pieces: pieces(6), piece_delay_ms: 20, stall_after: 6 });
    const [gone, stays] = await Promise.all(['g', 's'].map((user) => begin(user, 'left meanwhile')));
    const [leaving, staying] = [await follow('g', gone ?? ''), await follow('s', stays ?? '')];
    await Promise.all([leaving, staying].map((reader) => text(reader, SIX)));
    await stack.redis?.kill();
    await leaving.left();
    await stack.redis?.restart();
    await until(async () => (await feed.subscribed()).length > 0, 'the connection');
    await pause(500);
    expect(await feed.subscribed()).toEqual([stays]);
    await Promise.all([cancel('g', gone ?? ''), cancel('s', stays ?? '')]);
    await staying.ended;
  });

  it('is open but dead: the process notices, and makes another one', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    const frozen = await listeners();
    for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    try {
      // No notice tells the API that this turn has ended. It looks by itself, every ten seconds.
      const pace = await Pace.watch();
      const begun = Date.now();
      expect((await ben.turn(chat.id, 'hello')).status).toBe(200);
      expect(Date.now() - begun).toBeLessThan(pace.bound(25_000));
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    }
  });

  onRedis('hangs with its Redis in mid-reply: the stream ends complete, with the job', async () => {
    await stack.model.script('for a while', { pieces: pieces(30), piece_delay_ms: 100 });
    const jobId = await begin('leo', 'for a while');
    const reader = await follow('leo', jobId);
    await until(async () => reader.deltas > 2, 'some text');
    stack.redis?.freeze();
    try {
      await reader.ended;
      expect([reader.events.at(-1)?.id, reader.text]).toEqual(['end', pieces(30).join('')]);
    } finally {
      stack.redis?.thaw();
    }
  });

  onRedis('hangs with its Redis: the process notices, and text flows again once Redis answers', async () => {
    await stack.model.script('hangs for long', { pieces: pieces(250), piece_delay_ms: 100 });
    const jobId = await begin('mia', 'hangs for long');
    const reader = await follow('mia', jobId);
    await until(async () => reader.deltas > 2, 'some text');
    const before = await feed.list();
    expect(before).toHaveLength(4);
    stack.redis?.freeze();
    let frozen = 0;
    try {
      // Longer than a process takes to check a connection, and to get no answer.
      await pause(16_500);
      frozen = reader.text.length;
    } finally {
      stack.redis?.thaw();
    }
    await until(async () => reader.text.length > frozen, 'text', 5_000);
    const after = reader.deltas;
    await until(async () => reader.deltas > after + 10, 'more text', 5_000);
    expect((await stack.as('mia').get(`/api/v1/jobs/${jobId}`)).body.status).toBe('running');
    const now = await feed.list();
    expect([now.length, now.filter((id) => before.includes(id))]).toEqual([4, []]);
    await reader.ended;
    expect(reader.text).toBe(pieces(250).join(''));
  });

  onRedis(
    'loses its Redis in mid-reply: text flows again once there is another, and the stream ends complete',
    async () => {
      await stack.model.script('lost', { pieces: pieces(120), piece_delay_ms: 60 });
      const jobId = await begin('ned', 'lost');
      const reader = await follow('ned', jobId);
      await until(async () => reader.deltas > 2, 'some text');
      await stack.redis?.kill();
      await pause(1_500);
      const lost = reader.deltas;
      await stack.redis?.restart();
      await until(async () => reader.deltas > lost + 10, 'more text', 4_000);
      expect((await stack.as('ned').get(`/api/v1/jobs/${jobId}`)).body.status).toBe('running');
      await reader.ended;
      expect([reader.events.at(-1)?.id, reader.text]).toEqual(['end', pieces(120).join('')]);
    },
  );

  onRedis(
    'is away with its Redis when an API starts: jobs can be followed all the same, and text comes once Redis is back',
    async () => {
      await stack.model.script('before it was there', { pieces: pieces(120), piece_delay_ms: 60 });
      const jobId = await begin('oda', 'before it was there');
      await until(async () => {
        const { rows } = await stack.database.query(`SELECT 1 FROM jobs WHERE id = $1 AND status = 'running'`, [jobId]);
        return rows.length > 0;
      }, 'the attempt');
      await stack.redis?.kill();
      const other = await stack.startApi();
      const reader = await follow('oda', jobId, other);
      await until(async () => reader.events.length > 0, 'the job');
      await pause(200);
      const before = reader.deltas;
      await stack.redis?.restart();
      await until(async () => reader.deltas > before + 10, 'text', 5_000);
      expect((await stack.as('oda').get(`/api/v1/jobs/${jobId}`)).body.status).toBe('running');
      await reader.ended;
      expect(reader.text).toBe(pieces(120).join(''));
      expect(await other.stop()).toBe(0);
    },
  );
});
