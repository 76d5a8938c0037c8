import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openStream, type StreamEvent, textOf } from '../support/events.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { CREDENTIALS, limitedUser, type RedisForm, startCluster, startSentinels, TLS } from '../support/redis-forms.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const onRedis = process.env['TEST_QUEUE'] === 'redis' ? describe : describe.skip;
const pieces = (count: number): string[] => Array.from({ length: count }, (_, n) => `piece ${n} `);

/** The events of a job's stream so far, and its end. */
class Followed {
  readonly events: StreamEvent[] = [];
  readonly ended: Promise<void>;

  constructor(stack: Stack, user: string, jobId: string) {
    this.ended = (async () => {
      const { events } = await openStream(stack.api.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`);
      for await (const event of events) this.events.push(event);
    })();
    this.ended.catch(() => undefined);
  }

  get text(): string {
    return textOf(this.events);
  }

  get deltas(): number {
    return this.events.filter(({ event }) => event === 'delta').length;
  }
}

/** Resolves once both apps have the queue. */
async function queueIsThere(stack: Stack): Promise<void> {
  for (const app of [stack.api, ...stack.workers]) {
    await until(
      async () => {
        const ready = await fetch(`${app.url}/health/ready`);
        const { checks } = (await ready.json()) as { checks: { queue: string } };
        return checks.queue === 'ok';
      },
      'the queue',
      15_000,
    );
  }
}

const accept = async (stack: Stack, user: string, script: string): Promise<string> =>
  (await stack.as(user).turnAsync((await stack.as(user).chat()).id, script)).id;

/** Takes the queue's Redis away in mid-reply, and has `back` bring one back. */
async function losesItsRedis(
  stack: Stack,
  form: RedisForm,
  back: (lost: () => Promise<void>) => Promise<void>,
): Promise<Followed> {
  await stack.model.script('lost', { pieces: pieces(140), piece_delay_ms: 50 });
  const jobId = await accept(stack, 'ana', 'lost');
  const stream = new Followed(stack, 'ana', jobId);
  await until(async () => stream.deltas > 2, 'some text');
  const redis = await form.current();
  await redis.kill();
  const meanwhile = await Promise.all(
    ['ben', 'cem', 'dee'].map(async (user) => [user, await accept(stack, user, 'hi')]),
  );
  await back(() => redis.restart());
  await queueIsThere(stack);
  const before = stream.deltas;
  await until(async () => stream.deltas > before + 10, 'more text', 10_000);
  expect((await stack.as('ana').get(`/api/v1/jobs/${jobId}`)).body.status).toBe('running');
  for (const [user = '', id = ''] of meanwhile) {
    expect(await stack.as(user).finalJob(id)).toMatchObject({ status: 'succeeded', attempts: 1 });
  }
  await stream.ended;
  expect([stream.events.at(-1)?.id, stream.text]).toEqual(['end', pieces(140).join('')]);
  expect((await stack.as('eve').turn((await stack.as('eve').chat()).id, 'and the next')).status).toBe(200);
  return stream;
}

onRedis('on a Redis Cluster, as a user of limited rights', () => {
  let form: RedisForm;
  let stack: Stack;
  beforeAll(async () => {
    form = await startCluster();
    stack = await startStack({ env: { REDIS_URL: form.url } });
  });
  afterAll(async () => {
    await stack.stop();
    await form.stop();
  });

  it('turns are waited for, polled, streamed as they are written, and canceled', async () => {
    await queueIsThere(stack);
    const kim = stack.as('kim');
    const chat = await kim.chat();
    expect((await kim.turn(chat.id, 'waited for')).status).toBe(200);
    const polled = await kim.turnAsync(chat.id, 'polled');
    expect((await kim.finalJob(polled.id)).status).toBe('succeeded');

    await stack.model.script('streamed', { pieces: pieces(20), piece_delay_ms: 50 });
    const stream = new Followed(stack, 'kim', await accept(stack, 'kim', 'streamed'));
    await stream.ended;
    expect([stream.text, stream.events.at(-1)?.id]).toEqual([pieces(20).join(''), 'end']);
    expect(stream.deltas).toBeGreaterThan(4);

    await stack.model.script('canceled', { pieces: pieces(6), piece_delay_ms: 20, stall_after: 6 });
    const jobId = await accept(stack, 'kim', 'canceled');
    const left = new Followed(stack, 'kim', jobId);
    await until(async () => left.text === pieces(6).join(''), 'the text');
    expect((await kim.patch(`/api/v1/jobs/${jobId}`, { status: 'canceled' })).status).toBe(200);
    await left.ended;
    expect((await kim.finalJob(jobId)).status).toBe('canceled');
  });

  it('the queue’s node dies: text flows on, turns are accepted, and all end once the node is back', async () => {
    await losesItsRedis(stack, form, async (back) => {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      await back();
    });
  });

  it('the queue’s node hangs: turns are accepted, and all end once it answers, although the cluster has declared it dead by then', async () => {
    const redis = await form.current();
    const accepted: [string, string][] = [];
    redis.freeze();
    try {
      for (const user of ['fay', 'gil']) accepted.push([user, await accept(stack, user, 'hi')]);
      // Longer than BullMQ's worker waits for an answer, so it reconnects, to a Cluster that is down.
      await new Promise((resolve) => setTimeout(resolve, 8_000));
    } finally {
      redis.thaw();
    }
    for (const [user, id] of accepted) {
      expect(await stack.as(user).finalJob(id)).toMatchObject({ status: 'succeeded', attempts: 1 });
    }
  });

  it('the user needs no rights besides those on the operators’ page', () => {
    for (const app of [stack.api, ...stack.workers]) expect(app.output()).not.toMatch(/NOPERM|ERROR/);
  });
});

onRedis('with Sentinels, over TLS', () => {
  let form: Awaited<ReturnType<typeof startSentinels>>;
  let stack: Stack;
  beforeAll(async () => {
    form = await startSentinels();
    stack = await startStack({ env: { REDIS_URL: form.url, NODE_EXTRA_CA_CERTS: TLS.certificate } });
  });
  afterAll(async () => {
    await stack.stop();
    await form.stop();
  });

  it('a server is trusted if NODE_EXTRA_CA_CERTS has its authority, and no other is', async () => {
    const [known, strange] = await Promise.all([
      stack.startApi({ REDIS_URL: form.serverUrl }),
      stack.startApi({ REDIS_URL: form.serverUrl, NODE_EXTRA_CA_CERTS: '' }),
    ]);
    await queueIsThere({ ...stack, api: known, workers: [] });
    await until(async () => strange.output().includes('SELF_SIGNED_CERT'), 'the complaint');
    const ready = await fetch(`${strange.url}/health/ready`);
    expect(await ready.json()).toMatchObject({ checks: { queue: 'down' } });
    expect(await Promise.all([known.stop(), strange.stop()])).toEqual([0, 0]);
  });

  it('the primary dies: turns are accepted, and once a replica is promoted text flows and all end', async () => {
    await queueIsThere(stack);
    const before = await form.current();
    await losesItsRedis(stack, form, async () => {
      await until(async () => (await form.current()) !== before, 'another primary', 15_000);
    });
  });
});

onRedis('a Redis with wrong settings', () => {
  let redis: RedisServer;
  let stack: Stack;
  beforeAll(async () => {
    const [, ...rights] = await limitedUser();
    const noChannels = rights.map((right) => (right.startsWith('&') ? '&nothing' : right));
    redis = await startRedis(undefined, ['--maxmemory-policy', 'allkeys-lru', '--user', 'rejoinder', ...noChannels]);
    const REDIS_URL = redis.url.replace('//', `//${CREDENTIALS}@`);
    stack = await startStack({ env: { REDIS_URL, LOG_FORMAT: 'json' } });
  });
  afterAll(async () => {
    await stack.stop();
    await redis.stop();
  });

  it('is used, and its faults are an error in the log of each start', async () => {
    await queueIsThere(stack);
    await until(async () => /"error".*maxmemory-policy allkeys-lru.*noeviction/.test(stack.api.output()), 'the policy');
    await until(
      async () => /"error".*may not use the channels {rejoinder}:\*/.test(stack.api.output()),
      'the channels',
    );
  });

  it('makes no library print into the log', () => {
    for (const app of [stack.api, ...stack.workers]) {
      for (const text of app.output().trim().split('\n')) expect(text).toMatch(/^\{.*\}$/);
    }
  });
});
