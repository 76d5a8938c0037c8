import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { collect, openStream, type StreamEvent, textOf } from '../support/events.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

describe('while the connection that listens is', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  const listeners = async (name = 'rejoinder-%-feed'): Promise<number[]> => {
    const { rows } = await stack.database.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE $1`,
      [name],
    );
    return rows.map(({ pid }) => pid as number);
  };

  it('cut, whoever waits and whoever follows still gets the reply', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('cut', {
      pieces: Array.from({ length: 40 }, (_, n) => `piece ${n} `),
      piece_delay_ms: 50,
    });
    const turn = ana.turn(chat.id, 'cut');
    const jobId = await until(async () => {
      const { rows } = await stack.database.query(`SELECT id FROM jobs WHERE status = 'running'`);
      return rows[0]?.id as string | undefined;
    }, 'the attempt');
    const stream = await openStream(stack.api.url, tokenFor('ana'), `/api/v1/jobs/${jobId}/events`);
    const before = await listeners();
    expect(before).toHaveLength(2);
    await stack.database.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [before]);
    const events = await collect(stream);
    const { status, body } = await turn;
    expect([status, events.at(-1)?.id]).toEqual([200, 'end']);
    expect(textOf(events)).toBe(body.assistant_message.content);
    expect((await listeners()).some((pid) => before.includes(pid))).toBe(false);
  });

  it('cut while the last text before a long pause is sent, that text still comes', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    await stack.model.script('a pause', {
      pieces: Array.from({ length: 6 }, (_, n) => `piece ${n} `),
      piece_delay_ms: 100,
      stall_after: 6,
    });
    const job = await eva.turnAsync(chat.id, 'a pause');
    const stream = await openStream(stack.api.url, tokenFor('eva'), `/api/v1/jobs/${job.id}/events`);
    const events: StreamEvent[] = [];
    let cuts: Promise<void> | undefined;
    for await (const event of stream.events) {
      events.push(event);
      if (event.event === 'delta') {
        cuts ??= (async () => {
          for (let n = 0; n < 10; n++) {
            await stack.database.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [
              await listeners('rejoinder-worker-feed'),
            ]);
            await new Promise((resolve) => setTimeout(resolve, 80));
          }
        })();
      }
      if (textOf(events).endsWith('piece 5 ')) break;
    }
    await cuts;
    expect(textOf(events)).toBe('piece 0 piece 1 piece 2 piece 3 piece 4 piece 5 ');
    await eva.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
  });

  it('there but dead, it is found out and another is made', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    const frozen = await listeners();
    for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    try {
      // Nothing tells the API that this turn is done but its own doubt, every ten seconds.
      const begun = Date.now();
      expect((await ben.turn(chat.id, 'hello')).status).toBe(200);
      expect(Date.now() - begun).toBeLessThan(25_000);
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    }
  });
});
